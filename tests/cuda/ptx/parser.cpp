// A program's text.
#include "machine.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace ptx {

namespace {

/// A size that only a launch tells.
constexpr uint64_t DYNAMIC = ~0ull;

std::string trimmed(const std::string &text) {
    size_t first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

/// Parts between separators that are in no brackets.
std::vector<std::string> split(const std::string &text, char by) {
    std::vector<std::string> parts(1);
    int depth = 0;
    for (char letter : text) {
        depth += std::string("{[(").find(letter) != std::string::npos;
        depth -= std::string("}])").find(letter) != std::string::npos;
        if (letter == by && depth == 0) parts.emplace_back();
        else parts.back() += letter;
    }
    for (auto &part : parts) part = trimmed(part);
    return parts;
}

std::vector<std::string> words(const std::string &text) {
    std::vector<std::string> found;
    for (size_t at = 0; at < text.size();) {
        size_t end = at;
        while (end < text.size() && !isspace((unsigned char)text[end])) end++;
        if (end > at) found.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return found;
}

size_t aligned(size_t offset, size_t by) { return (offset + by - 1) / by * by; }

bool literal(const std::string &text, int64_t &value) {
    if (text.empty()) return false;
    bool negative = text[0] == '-';
    std::string digits = text.substr(negative);
    if (digits.empty() || !isdigit((unsigned char)digits[0])) return false;
    // The bits of a float or a double.
    bool exact = digits.size() > 2 && digits[0] == '0' && std::string("fFdD").find(digits[1]) != std::string::npos;
    value = exact ? strtoull(digits.c_str() + 2, nullptr, 16) : strtoull(digits.c_str(), nullptr, 0);
    if (negative) value = -value;
    return true;
}

/// What a variable's or a parameter's declaration says.
struct Declaration {
    std::string space, name;
    size_t align = 0, element = 1, size = 1;
    bool open = false;

    explicit Declaration(const std::string &text) {
        auto parts = words(text);
        for (size_t k = 0; k < parts.size(); k++) {
            Type type;
            if (parts[k] == ".align") align = strtoul(parts[++k].c_str(), nullptr, 10);
            else if (parts[k][0] == '.' && type_of(parts[k].substr(1), type)) element = size_of(type);
            else if (parts[k] == ".shared" || parts[k] == ".local" || parts[k] == ".global" || parts[k] == ".const") space = parts[k];
            else if (parts[k][0] != '.') name += parts[k];
        }
        size = element;
        if (align == 0) align = element;
        size_t bracket = name.find('[');
        if (bracket == std::string::npos) return;
        open = name[bracket + 1] == ']';
        size = open ? 0 : element * strtoul(name.c_str() + bracket + 1, nullptr, 0);
        name.resize(bracket);
    }
};

class Parser {
public:
    Parser(const char *given, Module &module) : module(module) {
        for (const char *at = given; *at;) {
            bool line = at[0] == '/' && at[1] == '/', comment = at[0] == '/' && at[1] == '*';
            if (!line && !comment) text += *at++;
            while (line && *at && *at != '\n') at++;
            while (comment && *at && !(at[0] == '*' && at[1] == '/')) at++;
            if (comment) at += *at ? 2 : 0;
        }
    }

    void program() {
        for (space(); position < text.size(); space()) {
            std::string word = ahead();
            if (word == ".version" || word == ".target" || word == ".address_size" || word == ".file") until('\n');
            else if (word == ".visible" || word == ".weak") position += word.size();
            else if (word == ".section") until('}');
            else if (word == ".entry") entry();
            else if (word == ".func") stop("functions are not called here");
            else variable(until(';'));
        }
    }

private:
    std::string text;
    size_t position = 0;
    Module &module;
    Function *function = nullptr;
    /// Registers by name, the innermost scope last.
    std::vector<std::map<std::string, int>> scopes;
    size_t module_shared = 0;

    void space() {
        while (position < text.size() && isspace((unsigned char)text[position])) position++;
    }

    /// The next word, which is not taken.
    std::string ahead() const {
        size_t end = position;
        while (end < text.size() && !isspace((unsigned char)text[end])) end++;
        return text.substr(position, end - position);
    }

    /// Takes all before a letter, and that. The last line may have no end.
    std::string until(char letter) {
        size_t end = text.find(letter, position);
        if (end == std::string::npos && letter != '\n') stop("the text ends too soon");
        end = std::min(end, text.size());
        std::string found = text.substr(position, end - position);
        position = end + 1;
        return trimmed(found);
    }

    void variable(const std::string &declared) {
        size_t equals = declared.find('=');
        Declaration made(declared.substr(0, equals));
        if (made.space == ".shared") {
            size_t &used = function ? function->shared : module_shared;
            auto &symbols = function ? function->symbols : module.symbols;
            used = aligned(used, made.align);
            symbols[made.name] = made.open ? DYNAMIC : used;
            used += made.size;
        } else if (made.space == ".local") {
            function->local = aligned(function->local, made.align);
            function->symbols[made.name] = function->local;
            function->local += made.size;
        } else {
            auto *memory = static_cast<uint8_t *>(aligned_alloc(64, aligned(made.size + 1, 64)));
            memset(memory, 0, made.size);
            module.symbols[made.name] = reinterpret_cast<uint64_t>(memory);
            if (equals == std::string::npos) return;
            std::string values = trimmed(declared.substr(equals + 1));
            int64_t value;
            for (auto &one : split(values[0] == '{' ? values.substr(1, values.size() - 2) : values, ',')) {
                if (!literal(one, value)) stop("not a number: " + one);
                memcpy(memory, &value, made.element);
                memory += made.element;
            }
        }
    }

    int slot(uint64_t initial = 0) {
        function->registers.push_back(initial);
        return function->registers.size() - 1;
    }

    /// `.reg .f32 %f<4>, x`
    void registers(const std::string &declared) {
        size_t type = declared.find('.', 1);
        for (auto &name : split(declared.substr(declared.find_first_of(" \t", type)), ',')) {
            size_t bracket = name.find('<');
            if (bracket == std::string::npos) scopes.back()[name] = slot();
            else
                for (int k = 0; k < atoi(name.c_str() + bracket + 1); k++) scopes.back()[name.substr(0, bracket) + std::to_string(k)] = slot();
        }
    }

    bool find_register(const std::string &name, int &found) const {
        for (size_t k = scopes.size(); k-- > 0;) {
            auto place = scopes[k].find(name);
            if (place == scopes[k].end()) continue;
            found = place->second;
            return true;
        }
        return false;
    }

    bool find_constant(const std::string &name, int64_t &found) const {
        auto parameter = function->parameters.find(name);
        if (parameter != function->parameters.end()) {
            found = parameter->second.offset;
            return true;
        }
        for (auto *symbols : {&function->symbols, &module.symbols}) {
            auto symbol = symbols->find(name);
            if (symbol == symbols->end()) continue;
            found = symbol->second == DYNAMIC ? function->shared : symbol->second;
            return true;
        }
        return name == "WARP_SZ" ? (found = WARP, true) : literal(name, found);
    }

    Operand operand(std::string given, bool label) {
        using Kind = Operand::Kind;
        Operand made;
        made.text = given;
        if (given[0] == '!') {
            made.negated = true;
            given = trimmed(given.substr(1));
        }
        char first = given[0];
        if (label) made.kind = Kind::label;
        else if (first == '{' || given.find('|') != std::string::npos) {
            made.kind = Kind::vector;
            for (auto &part : first == '{' ? split(given.substr(1, given.size() - 2), ',') : split(given, '|')) {
                int found = -1;
                int64_t constant;
                if (part != "_" && !find_register(part, found)) {
                    if (!find_constant(part, constant)) stop("what is " + part + "?");
                    found = slot(constant);
                }
                made.slots.push_back(found);
            }
        } else if (first == '[') {
            made.kind = Kind::address;
            std::string inside = given.substr(1, given.size() - 2);
            size_t plus = inside.find('+');
            std::string base = trimmed(inside.substr(0, plus));
            int64_t offset = 0;
            if (plus != std::string::npos && !literal(trimmed(inside.substr(plus + 1)), offset)) stop("no place: " + given);
            if (!find_register(base, made.slot) && !find_constant(base, made.constant)) stop("no place: " + given);
            made.constant += offset;
        } else if (given != "_" && !find_register(given, made.slot)) {
            made.kind = special(given, made.constant) ? Kind::special : Kind::constant;
            if (made.kind == Kind::constant && !find_constant(given, made.constant)) stop("what is " + given + " in " + function->name + "?");
        }
        return made;
    }

    void instruction(std::string given) {
        Instruction made;
        made.text = given;
        if (given[0] == '@') {
            std::string guard = words(given)[0];
            made.guard_negated = guard[1] == '!';
            if (!find_register(guard.substr(made.guard_negated ? 2 : 1), made.guard)) stop("no guard: " + given);
            given = trimmed(given.substr(guard.size()));
        }
        size_t end = std::min(given.find_first_of(" \t\r\n"), given.size());
        made.modifiers = split(given.substr(0, end), '.');
        made.name = made.modifiers[0];
        made.modifiers.erase(made.modifiers.begin());
        std::string rest = trimmed(given.substr(end));
        if (!rest.empty())
            for (auto &part : split(rest, ',')) made.operands.push_back(operand(part, made.name == "bra"));
        bool first = true;
        for (auto &modifier : made.modifiers) {
            Type type;
            if (!type_of(modifier, type)) continue;
            made.second_type = type;
            if (first) made.type = type;
            first = false;
        }
        resolve(made);
        function->code.push_back(made);
    }

    /// A directive in a body; shared variables are known already.
    void directive() {
        std::string word = ahead();
        if (word == ".loc") {
            until('\n');
            return;
        }
        std::string declared = until(';');
        if (word.compare(0, 4, ".reg") == 0) registers(declared);
        else if (word == ".local") variable(declared);
        else if (word != ".shared" && word != ".pragma") stop("what is " + word + "?");
    }

    /// All of a body's shared variables, so that what a launch adds lies behind them.
    void shared_variables() {
        function->shared = module_shared;
        size_t start = position, end = start;
        for (int depth = 1; depth > 0; end++) depth += (text[end] == '{') - (text[end] == '}');
        for (position = text.find(".shared", start); position < end; position = text.find(".shared", position)) {
            size_t before = text.find_last_not_of(" \t\r\n", position - 1);
            bool declares = std::string(";{}:").find(text[before]) != std::string::npos;
            if (declares) variable(until(';'));
            else position++;
        }
        function->shared = aligned(function->shared, 128);
        position = start;
    }

    void body() {
        shared_variables();
        scopes.assign(1, {});
        while (!scopes.empty()) {
            space();
            char letter = text[position];
            if (letter == '{') scopes.emplace_back();
            if (letter == '}') scopes.pop_back();
            if (letter == '{' || letter == '}' || letter == ';') {
                position++;
                continue;
            }
            if (letter == '.') {
                directive();
                continue;
            }
            size_t end = position;
            while (isalnum((unsigned char)text[end]) || text[end] == '_' || text[end] == '$') end++;
            if (end > position && text[end] == ':') {
                function->labels[text.substr(position, end - position)] = function->code.size();
                position = end + 1;
            } else instruction(until(';'));
        }
        Instruction last;
        last.name = "ret";
        resolve(last);
        function->code.push_back(last);
        for (auto &one : function->code) {
            if (one.name != "bra") continue;
            auto found = function->labels.find(one.operands[0].text);
            if (found == function->labels.end()) stop("no label: " + one.text);
            one.target = found->second;
        }
    }

    void entry() {
        position += std::string(".entry").size();
        std::string name = until('(');
        function = &module.functions[name];
        function->name = name;
        size_t end = position;
        for (int depth = 1; depth > 0; end++) depth += (text[end] == '(') - (text[end] == ')');
        for (auto &declared : split(text.substr(position, end - 1 - position), ',')) {
            if (declared.empty()) continue;
            Declaration made(declared);
            Parameter parameter = {aligned(function->parameter_bytes, made.align), made.size};
            function->parameter_bytes = parameter.offset + parameter.size;
            function->parameters[made.name] = parameter;
            function->ordered.push_back(parameter);
        }
        position = end;
        until('{');
        body();
        function = nullptr;
    }
};

} // namespace

void parse(const char *text, Module &module) { Parser(text, module).program(); }

} // namespace ptx
