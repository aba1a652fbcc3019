// Products of small matrices, of which every lane of a warp holds a part (the "matrix multiply-accumulate instructions"). Sums are f64,
// rounded once.
#include "machine.hpp"

#include <cstdio>

namespace ptx {

namespace {

enum class Format { half, brain, tensor, single };

Format format(const std::string &name, const Instruction &i) {
    if (name == "f16") return Format::half;
    if (name == "bf16") return Format::brain;
    if (name == "tf32") return Format::tensor;
    if (name == "f32") return Format::single;
    stop("no such format of matrices: " + i.text);
}

bool is_short(Format format) { return format == Format::half || format == Format::brain; }

/// The element that is number `index` of what a lane holds, of the formats that are two to a register the lower half first.
double element(const Thread &thread, const Operand &operand, Format format, int index) {
    uint64_t from = thread.at(operand.slots[is_short(format) ? index / 2 : index]);
    if (format == Format::half) return from_half(from >> 16 * (index % 2));
    if (format == Format::brain) return from_bfloat(from >> 16 * (index % 2));
    // The last bits of the fraction are not looked at.
    uint32_t bits = format == Format::tensor ? from & ~0x1fffu : from;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void set_element(Thread &thread, const Operand &operand, Format format, int index, double value) {
    uint64_t &to = thread.at(operand.slots[is_short(format) ? index / 2 : index]);
    if (is_short(format)) {
        uint32_t bits = format == Format::half ? to_half(value) : to_bfloat(value);
        to = index % 2 ? (to & 0xffff) | bits << 16 : bits;
        return;
    }
    float single = value;
    to = 0;
    memcpy(&to, &single, sizeof single);
}

/// A matrix whose rows lie one after the other.
struct Matrix {
    int columns;
    std::vector<double> values;
    Matrix(int rows, int columns) : columns(columns), values(rows * columns) {}
    double &at(int row, int column) { return values[row * columns + column]; }
};

void add_product(Matrix &sum, Matrix &a, Matrix &b) {
    int rows = sum.values.size() / sum.columns;
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < sum.columns; column++)
            for (int k = 0; k < a.columns; k++) sum.at(row, column) += a.at(row, k) * b.at(k, column);
}

/// Rows of eight numbers of 16 bits, whose places the lanes give, turned or not.
void load_rows(const Instruction &i, Warp &warp) {
    int count = i.has("x4") ? 4 : i.has("x2") ? 2 : 1;
    uint16_t rows[4][8][8];
    for (int matrix = 0; matrix < count; matrix++)
        for (int row = 0; row < 8; row++) memcpy(rows[matrix][row], place(*warp.lanes[matrix * 8 + row], i, i.operands[1], 16), 16);
    for (unsigned lane = 0; lane < WARP; lane++)
        for (int matrix = 0; matrix < count; matrix++) {
            int row = lane / 4, column = lane % 4 * 2;
            uint32_t first = i.has("trans") ? rows[matrix][column][row] : rows[matrix][row][column];
            uint32_t second = i.has("trans") ? rows[matrix][column + 1][row] : rows[matrix][row][column + 1];
            warp.lanes[lane]->at(i.operands[0].slots[matrix]) = first | second << 16;
        }
}

/// m16n8kK with the lanes' parts where the manual has them: lane 4 · g + q has rows g and g + 8 of the left factor and of the sums, and
/// column g of the right factor, and there of each eight (in 32 bits of each four) columns or rows those from q on.
void multiply(const Instruction &i, Warp &warp) {
    int depth;
    if (sscanf(i.modifiers[2].c_str(), "m16n8k%d", &depth) != 1 || !i.has("row") || !i.has("col")) stop("not executed here: " + i.text);
    Format result = format(i.modifiers[5], i), factors = format(i.modifiers[6], i), added = format(i.modifiers[8], i);
    int together = is_short(factors) ? 2 : 1, span = 4 * together;
    Matrix a(16, depth), b(depth, 8), sum(16, 8);
    auto each_sum = [](int lane, auto function) {
        for (int k = 0; k < 4; k++) function(k, lane / 4 + 8 * (k / 2), lane % 4 * 2 + k % 2);
    };
    for (unsigned lane = 0; lane < WARP; lane++) {
        Thread &thread = *warp.lanes[lane];
        int group = lane / 4, start = lane % 4 * together;
        for (int k = 0; k < depth / 2; k++) {
            int pair = k / together;
            a.at(group + 8 * (pair % 2), start + k % together + span * (pair / 2)) = element(thread, i.operands[1], factors, k);
        }
        for (int k = 0; k < depth / 4; k++)
            b.at(start + k % together + span * (k / together), group) = element(thread, i.operands[2], factors, k);
        each_sum(lane, [&](int k, int row, int column) { sum.at(row, column) = element(thread, i.operands[3], added, k); });
    }
    add_product(sum, a, b);
    for (unsigned lane = 0; lane < WARP; lane++)
        each_sum(lane, [&](int k, int row, int column) { set_element(*warp.lanes[lane], i.operands[0], result, k, sum.at(row, column)); });
}

/// Where the elements of a fragment lie, `wmma` does not say; here number e is with lane e / n, which has n.
struct Shape {
    int rows, columns, depth;
    explicit Shape(const Instruction &i) {
        for (auto &modifier : i.modifiers)
            if (sscanf(modifier.c_str(), "m%dn%dk%d", &rows, &columns, &depth) == 3) return;
        stop("no shape: " + i.text);
    }
};

void move_fragment(const Instruction &i, Warp &warp) {
    Shape shape(i);
    bool loads = i.has("load"), by_rows = i.has("row");
    char which = i.modifiers[1][0];
    int rows = which == 'b' ? shape.depth : shape.rows, columns = which == 'a' ? shape.depth : shape.columns;
    Format numbers = format(i.modifiers.back(), i);
    const Operand &fragment = i.operands[loads ? 0 : 1];
    size_t size = is_short(numbers) ? 2 : 4;
    int count = rows * columns / WARP;
    for (unsigned lane = 0; lane < WARP; lane++) {
        Thread &thread = *warp.lanes[lane];
        uint64_t stride = i.operands.size() > 2 ? uint32_t(bits(thread, i.operands[2])) : by_rows ? columns : rows;
        for (int k = 0; k < count; k++) {
            int number = lane * count + k, row = number / columns, column = number % columns;
            Operand at = i.operands[loads ? 1 : 0];
            at.constant += (by_rows ? row * stride + column : column * stride + row) * size;
            uint8_t *memory = place(thread, i, at, size);
            uint64_t &slot = thread.at(fragment.slots[size == 2 ? k / 2 : k]);
            unsigned shift = size == 2 ? 16 * (k % 2) : 0;
            uint32_t bits = 0;
            if (loads) {
                memcpy(&bits, memory, size);
                slot = shift ? (slot & 0xffff) | bits << 16 : bits;
            } else {
                bits = slot >> shift;
                memcpy(memory, &bits, size);
            }
        }
    }
}

void multiply_fragments(const Instruction &i, Warp &warp) {
    Shape shape(i);
    // Formats follow the shape: of the result, of the factors where they are not f16, and of what is added.
    std::vector<std::string> formats;
    for (size_t k = 0; k < i.modifiers.size(); k++)
        if (i.modifiers[k][0] == 'm' && i.modifiers[k].find('k') != std::string::npos) formats.assign(i.modifiers.begin() + k + 1, i.modifiers.end());
    while (!formats.empty() && formats.back() == "satfinite") formats.pop_back();
    Format result = format(formats.front(), i), added = format(formats.back(), i);
    Format factors = formats.size() == 4 ? format(formats[1], i) : Format::half;
    Matrix a(shape.rows, shape.depth), b(shape.depth, shape.columns), sum(shape.rows, shape.columns);
    auto each = [&](Matrix &matrix, auto function) {
        int count = matrix.values.size() / WARP;
        for (unsigned lane = 0; lane < WARP; lane++)
            for (int k = 0; k < count; k++) function(*warp.lanes[lane], k, matrix.values[lane * count + k]);
    };
    each(a, [&](Thread &thread, int k, double &value) { value = element(thread, i.operands[1], factors, k); });
    each(b, [&](Thread &thread, int k, double &value) { value = element(thread, i.operands[2], factors, k); });
    each(sum, [&](Thread &thread, int k, double &value) { value = element(thread, i.operands[3], added, k); });
    add_product(sum, a, b);
    each(sum, [&](Thread &thread, int k, double value) { set_element(thread, i.operands[0], result, k, value); });
}

} // namespace

bool execute_matrices(const Instruction &i, Warp &warp) {
    if (i.name != "ldmatrix" && i.name != "mma" && i.name != "wmma") return false;
    if (warp.mask != ~0u) stop("not the whole warp takes part: " + i.text);
    if (i.name == "ldmatrix") load_rows(i, warp);
    else if (i.name == "mma") multiply(i, warp);
    else if (i.has("mma")) multiply_fragments(i, warp);
    else move_fragment(i, warp);
    return true;
}

} // namespace ptx
