"""Translate PTX, the assembly language of NVIDIA's GPUs, to C.

A kernel becomes a C function, and a thread calls it. An instruction becomes a call of a function of
the same name with underscores: ``add.s64`` calls ``add_s64`` of ptx.h. The C compiler reports an
instruction that is missing there by its name. Registers become unsigned C variables. The translator
understands the PTX that compilers generate, not the whole language.

Source: PTX ISA 8.8, https://docs.nvidia.com/cuda/parallel-thread-execution/
"""

import re
from typing import Any, NamedTuple

_BITS = {f"{kind}{bits}": bits for kind in "busf" for bits in (8, 16, 32, 64)} | {"pred": 8}
_VARIABLE = r"(?:\.align (\d+) )?\.(\w+) ([\w$]+)(?:\[(\d*)\])?"
_IGNORED = (".pragma", ".maxntid", ".minnctapersm")


class Variable(NamedTuple):
    """A declared variable: name, alignment, bytes."""

    name: str
    align: int
    size: int


class Head(NamedTuple):
    """A function's declaration."""

    name: str
    kernel: bool
    public: bool
    results: list[Variable]
    parameters: list[Variable]


def statements(text: str) -> list[tuple[int, str]]:
    """Split PTX into (line, statement); labels and braces are statements, too."""
    text = re.sub(r"//[^\n]*|^\.(?:version|target|address_size)[^\n]*", "", text, flags=re.M)
    found: list[tuple[int, str]] = []
    line, begun, words = 1, 1, ""
    vectors = 0

    def end(more: str = "") -> None:
        nonlocal words
        for statement in (" ".join(words.split()), more):
            if statement:
                found.append((begun if statement != more else line, statement))
        words = ""

    for token in re.findall(r"[{};:]|[^{};:]+", text):
        if not words.strip():
            begun = line + token[: len(token) - len(token.lstrip())].count("\n")
        header = re.search(r"\.(func|entry)\b", words)
        if token == ";":
            end()
        elif token == ":":
            words += token
            end()
        elif token == "{" and words.strip() and not header:  # of a vector, or of initial values
            vectors, words = vectors + 1, words + token
        elif token == "}" and vectors:
            vectors, words = vectors - 1, words + token
        elif token in "{}":
            end(token)
        else:
            words += token
        line += token.count("\n")
    return found


def _variables(text: str) -> list[Variable]:
    """Variables that a text declares."""
    found = []
    for align, kind, name, count in re.findall(_VARIABLE, text):
        size = _BITS[kind] // 8
        found.append(Variable(name, int(align or size), size * int(count or 1)))
    return found


def _head(statement: str) -> Head:
    pattern = r"(.*?)\.(func|entry) ?(\(.*?\))? ?([\w$]+) ?(\(.*\))?"
    flags, kind, results, name, parameters = re.match(pattern, statement).groups()
    public = bool(re.search("visible|weak|extern", flags))
    return Head(name, kind == "entry", public, *map(_variables, (results or "", parameters or "")))


def _operands(text: str) -> list[str]:
    """Operands of an instruction: split at commas outside of brackets."""
    return [part.strip() for part in re.findall(r"(?:[^,{[(]|{[^}]*}|\[[^]]*\]|\([^)]*\))+", text)]


class Unit:
    """One text of PTX, and its translation.

    Attributes:
        name: used in messages.
    """

    def __init__(self, text: str, name: str):
        self.name = name
        self._shared: dict[str, int] = {}
        self._shared_bytes = 0
        self._line = 0
        self._statements = statements(text)
        self._waits = any(re.search(r"\bbar\.", words) for _, words in self._statements)

    def translate(self) -> str:
        """Return the C source.

        Raises:
            ValueError: a statement that the translator does not understand.
        """
        heads, variables, functions = [], [], []
        rest = iter(self._statements)
        for self._line, words in rest:
            if re.search(r"\.(func|entry)\b", words):
                heads.append(_head(words))
            elif words == "{":
                functions += [f"{_declaration(heads[-1])} {{", *self._body(heads[-1], rest), "}"]
            elif not words.startswith(_IGNORED):
                variables += self._variable(words)
        functions += [self._kernel(head) for head in heads if head.kernel]
        declared = [f"{_declaration(head)};" for head in heads]
        lines = ['#include "ptx.h"', f'static const char UNIT[] = "{self.name}";']
        return "\n".join([*lines, *declared, *variables, *functions, ""])

    def _variable(self, words: str) -> list[str]:
        """Declare a variable outside of functions."""
        space = re.match(r"(?:\.\w+ )*?\.(global|const|shared) ", words)
        if space is None:
            raise ValueError(f"{self.name}:{self._line}: not understood: {words}")
        if space.group(1) == "shared":
            return self._share(words)
        variable = re.search(_VARIABLE, words[space.end() :])
        kind, name, many = variable.group(2, 3, 4)
        first = re.search("= ?(.*)", words)
        made = f"static _Alignas({variable.group(1) or 1}) {_type(kind)} {name}"
        made += "" if many is None else f"[{many}]"
        return [made + (f" = {first.group(1)};" if first else ";")]

    def _share(self, words: str) -> list[str]:
        """Allocate a variable in shared memory."""
        for variable in _variables(words.partition(".shared ")[2]):
            at = -(-self._shared_bytes // variable.align) * variable.align
            self._shared[variable.name] = at
            self._shared_bytes = at + variable.size
        return []

    def _kernel(self, head: Head) -> str:
        sizes = ", ".join(str(variable.size) for variable in head.parameters) or "0"
        facts = f"{len(head.parameters)}, sizes_{head.name}, {self._shared_bytes}, {self._waits:d}"
        return (
            f"static const int sizes_{head.name}[] = {{{sizes}}};\n"
            f"const gpu_kernel_t kernel_{head.name} = {{{head.name}, {facts}}};"
        )

    # ---- bodies ------------------------------------------------------------------------------

    def _body(self, head: Head, rest: Any) -> list[str]:
        """Translate a function's body, up to its closing brace."""
        self._registers: dict[str, str] = {}
        self._own = {variable.name for variable in (*head.results, *head.parameters)}
        lines = []
        if head.kernel:
            names = enumerate(variable.name for variable in head.parameters)
            lines += [f"unsigned char *{name} = parameters[{i}];" for i, name in names]
        depth = 1
        for self._line, words in rest:
            depth += {"{": 1, "}": -1}.get(words, 0)
            if not depth:
                return lines
            try:
                lines.append(self._statement(words))
            except (AttributeError, IndexError, KeyError, ValueError) as error:
                raise ValueError(f"{self.name}:{self._line}: not understood: {words}") from error
        raise ValueError(f"{self.name}: {head.name} has no closing brace")

    @property
    def has_shared_memory(self) -> bool:
        """Whether the text declares shared memory."""
        return bool(self._shared)

    def _statement(self, words: str) -> str:
        if words in "{}":
            return words
        if words.endswith(":"):
            return words + ";"
        if words.startswith(_IGNORED):
            return ""
        if words.startswith(".reg "):
            return self._declared(words)
        if words.startswith(".shared "):
            return "".join(self._share(words))
        if words.startswith((".local ", ".param ")):
            (variable,) = _variables(words)
            self._own.add(variable.name)
            made = f"_Alignas({max(8, variable.align)}) unsigned char {variable.name}"
            made += f"[{variable.size}];"
            return made if words.startswith(".param") else made + f" GPU_POISON({variable.name});"
        if words.startswith("@"):
            condition, words = words[1:].split(" ", 1)
            condition = condition.replace("%", "R")
            return f"{self._count(words)} if ({condition}) {{ {self._instruction(words)} }}"
        return f"{self._count(words)} {self._instruction(words)}"

    def _count(self, words: str) -> str:
        """C that counts an instruction; a false predicate costs a warp as much."""
        return f"GPU_COUNT_INSTRUCTION({self._line}, {_cost(words)})"

    def _declared(self, words: str) -> str:
        kind, names = re.match(r"\.reg \.(\w+) (.*)", words).groups()
        made = []
        for name, _, count in re.findall(r"([%\w]+)(<(\d+)>)?", names):
            self._registers[name] = kind
            first = name.replace("%", "R")
            made += [f"{first}{i} = 0" for i in range(int(count))] if count else [f"{first} = 0"]
        return f"uint{_BITS[kind]}_t {', '.join(made)};"

    def _kind(self, register: str) -> str:
        """A register's type: declared by itself, or as one of a numbered range."""
        return self._registers.get(register) or self._registers[register.rstrip("0123456789")]

    def _operand(self, text: str) -> str:
        """C for an operand that an instruction reads."""
        special = re.fullmatch(r"%(n?tid|n?ctaid)\.([xyz])", text)
        if special:
            return f"thread->{special.group(1)}[{'xyz'.index(special.group(2))}]"
        if text.startswith("%"):
            return text.replace("%", "R")
        if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", text):
            return f"0x{text[2:]}u"
        if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", text):
            return f"0x{text[2:]}ull"
        if re.fullmatch(r"-?\d+", text):
            return f"{int(text) % 2**64}ull"
        return self._address(text)

    def _address(self, text: str) -> str:
        """C integer for an address: a name or register, and an offset."""
        base, offset = re.fullmatch(r"([%$\w]+)(?:\+(-?\d+))?", text).groups()
        if base.startswith("%"):
            start = self._operand(base)
        elif base in self._shared:
            start = f"(uint64_t)(thread->shared + {self._shared[base]})"
        else:
            start = f"(uint64_t){base if base in self._own else '&' + base}"
        return f"({start} + ({offset or 0}))"

    def _instruction(self, words: str) -> str:
        name, _, rest = words.partition(" ")
        kind, *marks = name.split(".")
        operands = _operands(rest)
        if kind == "ret":
            return "return;"
        if kind == "bra":
            return f"goto {operands[0]};"
        if kind == "call":
            return self._call(rest)
        if kind in ("ld", "st"):
            return self._moved(kind, marks, operands)
        if kind == "atom":
            _, how, of = marks
            place = f"GPU_AT({_type(of)}, {self._address(operands[1][1:-1])}, 2, {self._line})"
            taken, given = map(self._operand, operands[::2])
            return f"GPU_ATOMIC({_type(of)}, {place}, {taken}, {how}_{of}, {given})"
        if kind == "mov" and "{" in rest:
            return self._packed(operands)
        function, arguments = name.replace(".", "_"), [self._operand(o) for o in operands]
        if kind == "bar":
            arguments.insert(1 if "red" in marks else 0, "thread")
        if name == "bar.sync":
            return f"{function}({', '.join(arguments)});"
        return f"{arguments[0]} = {function}({', '.join(arguments[1:])});"

    def _call(self, rest: str) -> str:
        results, name, parameters = re.fullmatch(
            r"(?:\((.*?)\), ?)?([\w$]+)(?:, ?\((.*)\))?", rest
        ).groups()
        given = [text.strip() for text in f"{results or ''},{parameters or ''}".split(",")]
        return f"{name}({', '.join(['thread', *filter(None, given)])});"

    def _moved(self, kind: str, marks: list[str], operands: list[str]) -> str:
        """A load or a store of a number or a vector."""
        place, value = operands if kind == "st" else reversed(operands)
        registers = [text.strip() for text in value.strip("{}").split(",")]
        of, size = marks[-1], _BITS[marks[-1]] // 8
        inside = place[1:-1].strip()
        # a function's own variables: no other thread has them
        own = {"param", "local"} & set(marks) or inside.split("+")[0] in self._own
        lines = [f"{{ uint64_t at = {self._address(inside)};"]
        if len(registers) > 1:
            lines.append(f"GPU_ALIGNED(at, {size * len(registers)}, {self._line});")
        for i, register in enumerate(registers):
            cell = f"*({_type(of)} *)(at + {i * size})"
            if not own:
                cell = f"GPU_AT({_type(of)}, at + {i * size}, {kind == 'st':d}, {self._line})"
            other = self._operand(register)
            lines.append(f"{other} = {cell};" if kind == "ld" else f"{cell} = {other};")
        return " ".join([*lines, "}"])

    def _packed(self, operands: list[str]) -> str:
        """Pack several registers into one, or unpack."""
        whole, parts = operands[::-1] if operands[0].startswith("{") else operands
        names = [text.strip() for text in parts.strip("{}").split(",")]
        bits = _BITS[self._kind(names[0])]
        if parts is operands[0]:
            source = self._operand(whole)
            return " ".join(
                f"{self._operand(name)} = (uint64_t){source} >> {i * bits};"
                for i, name in enumerate(names)
            )
        joined = " | ".join(
            f"(uint64_t){self._operand(name)} << {i * bits}" for i, name in enumerate(names)
        )
        return f"{self._operand(whole)} = {joined};"


def _declaration(head: Head) -> str:
    """A function's declaration in C."""
    if head.kernel:
        return f"static void {head.name}(gpu_thread_t *thread, unsigned char **parameters)"
    names = [variable.name for variable in (*head.results, *head.parameters)]
    given = ", ".join(["gpu_thread_t *thread", *(f"unsigned char *{name}" for name in names)])
    return f"{'' if head.public else 'static '}void {head.name}({given})"


def _cost(words: str) -> int:
    """Rough number of GPU instructions for one of PTX: the GPU's registers have 32 bits."""
    kind, *marks = words.partition(" ")[0].split(".")
    if kind in ("mov", "cvta") or "param" in marks:
        return 0
    wide = any(_BITS.get(mark) == 64 for mark in marks) and not {"wide", "cvt"} & {kind, *marks}
    if kind in ("div", "rem", "sqrt", "rcp"):  # calls of functions
        return 60 if wide else 20
    if kind in ("ld", "st", "atom", "bra", "bar", "call", "ret") or not wide:
        return 1
    return 4 if kind in ("mul", "mad") and marks[-1] != "f64" else 2


def _type(kind: str) -> str:
    """C type of a value in memory."""
    return f"{'' if kind[0] == 's' else 'u'}int{_BITS[kind]}_t"
