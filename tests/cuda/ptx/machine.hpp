// What a program in PTX consists of, and what executes it. The names are those of NVIDIA's "Parallel Thread Execution ISA".
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ptx {

enum class Type { pred, u8, u16, u32, u64, s8, s16, s32, s64, b8, b16, b32, b64, b128, f16, bf16, f32, f64, tf32, f16x2, bf16x2 };

bool type_of(const std::string &name, Type &type);
size_t size_of(Type type);
inline bool is_signed(Type type) { return type >= Type::s8 && type <= Type::s64; }
inline bool is_float(Type type) { return type >= Type::f16; }

/// The nearest numbers in 16 bits, and back.
float from_half(uint16_t bits);
float from_bfloat(uint16_t bits);
uint16_t to_half(double value);
uint16_t to_bfloat(float value);

/// An address in shared or local memory, or among a kernel's parameters, counts from that memory's beginning. In others it is the host's.
enum class Space { generic, shared, local, parameters };

struct Operand {
    enum class Kind { reg, constant, vector, address, special, label };
    Kind kind = Kind::reg;
    /// The register of a value, and of what `constant` is added to for an address; -1 where there is none.
    int slot = -1;
    int64_t constant = 0;
    bool negated = false;
    std::vector<int> slots;
    std::string text;
};

struct Thread;

struct Instruction {
    std::string text, name;
    /// What follows the name, between dots.
    std::vector<std::string> modifiers;
    std::vector<Operand> operands;
    /// Executes it for a thread; false where the thread does not go on with the next one.
    bool (*execute)(Thread &, const Instruction &) = nullptr;
    Type type = Type::b32, second_type = Type::b32;
    Space space = Space::generic;
    /// How many numbers a load or store moves.
    int count = 1;
    /// What each instruction keeps here of its modifiers.
    int variant = 0, combined = 0;
    /// The register that decides whether it is executed, if there is one.
    int guard = -1;
    bool guard_negated = false;
    size_t target = 0;

    bool has(const char *modifier) const;
};

struct Parameter {
    size_t offset, size;
};

struct Function {
    std::string name;
    std::vector<Instruction> code;
    std::map<std::string, size_t> labels;
    /// Registers as they are at first: zero, but for constants.
    std::vector<uint64_t> registers;
    std::map<std::string, Parameter> parameters;
    std::vector<Parameter> ordered;
    size_t parameter_bytes = 0;
    /// Memory that a block and a thread have, without what a launch adds to the former.
    size_t shared = 0, local = 0;
    std::map<std::string, uint64_t> symbols;
};

struct Module {
    std::map<std::string, Function> functions;
    std::map<std::string, uint64_t> symbols;
};

/// Reads a program. What is not known here ends the process with a line that says what it is.
void parse(const char *text, Module &module);
/// Finds what executes an instruction, of which everything else is known.
void resolve(Instruction &instruction);

struct Block {
    unsigned index[3], grid[3], dimensions[3];
    uint8_t *shared;
    size_t shared_bytes;
    const uint8_t *parameters;
};

/// What a thread does: it runs, waits for its block or its warp, asks over and over for what others do, or has ended.
enum class State { running, at_barrier, with_warp, asking, done };

constexpr unsigned WARP = 32;

struct Thread {
    /// Those of a warp's threads lie side by side.
    uint64_t *registers = nullptr;
    std::vector<uint8_t> local;
    size_t next = 0;
    State state = State::running;
    const Function *function = nullptr;
    const Block *block = nullptr;
    unsigned index = 0, place[3];

    uint64_t &at(int slot) const { return registers[slot * WARP]; }
};

/// The threads of a warp, of which those of `mask` have come to the instruction.
struct Warp {
    Thread *lanes[WARP] = {};
    uint32_t mask = 0;

    bool has(unsigned lane) const { return mask >> lane & 1; }
};

void execute_together(const Instruction &instruction, Warp &warp);

[[noreturn]] void stop(const std::string &why);

/// An operand's bits.
inline uint64_t bits(const Thread &thread, const Operand &operand) {
    return operand.kind == Operand::Kind::reg ? thread.at(operand.slot) : uint64_t(operand.constant);
}

template <class T> T value(const Thread &thread, const Operand &operand) {
    uint64_t from = bits(thread, operand);
    T value;
    memcpy(&value, &from, sizeof value);
    return value;
}

/// Writes a register, if it is one: `_` is none.
template <class T> void put(Thread &thread, const Operand &operand, T value) {
    if (operand.slot < 0) return;
    uint64_t to = 0;
    memcpy(&to, &value, sizeof value);
    thread.at(operand.slot) = to;
}

inline bool predicate(const Thread &thread, const Operand &operand) { return (bits(thread, operand) & 1) != operand.negated; }

/// A whole number, extended to 64 bits by its sign.
uint64_t integer(const Thread &thread, const Operand &operand, Type type);
void put_integer(Thread &thread, const Operand &operand, Type type, uint64_t value);
/// A number of one of the formats with a point.
double real(const Thread &thread, const Operand &operand, Type type);

/// Where `size` bytes lie, which are together a load, or part of one.
uint8_t *place(const Thread &thread, const Instruction &instruction, const Operand &operand, size_t size);

/// A register that says where a thread is, by its name.
bool special(const std::string &name, int64_t &which);

/// What need not be done here, since everything that is written is seen at once, and copied too.
inline bool nothing(Thread &, const Instruction &) { return true; }

/// What the families of instructions know; false for what they do not.
bool resolve_integers(Instruction &instruction);
bool resolve_reals(Instruction &instruction);
bool resolve_comparisons(Instruction &instruction);
bool resolve_conversions(Instruction &instruction);
bool resolve_memory(Instruction &instruction);
bool resolve_barriers(Instruction &instruction);
bool resolve_control(Instruction &instruction);

} // namespace ptx
