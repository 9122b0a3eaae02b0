"""The directive ``kernel-table``: a table of all ops, made from ``fastpg.kernels.spec``."""

from docutils import nodes
from docutils.parsers.rst import Directive

from fastpg.kernels.spec import OPS, Array, Op


def described(array: Array) -> str:
    """Name, shape and dtype of an array, such as ``rewards (T, N) float32``."""
    comma = "," if len(array.dims) == 1 else ""
    return f"{array.name} ({', '.join(map(str, array.dims))}{comma}) {array.dtype}"


def cells(op: Op) -> list[list[nodes.Node]]:
    """The cells of an op's row: its name, inputs and scalars, outputs, tolerance."""
    inputs, outputs = ([*map(described, arrays)] for arrays in (op.inputs, op.outputs))
    row = []
    for column in ([op.name], [*inputs, *(scalar.name for scalar in op.scalars)], outputs):
        lines = nodes.line_block()
        lines += [nodes.line("", "", nodes.literal(text=text)) for text in column]
        row.append([lines])
    row.append([nodes.paragraph(text=f"{op.tolerance:g}")])
    return row


class KernelTable(Directive):
    """All ops: arguments in their order, and how far a CPU backend may be from the reference."""

    def run(self) -> list[nodes.Node]:
        """Return the table as one docutils node."""
        heads = ["op", "inputs, scalars", "outputs", "tolerance"]
        group = nodes.tgroup(cols=len(heads))
        group += [nodes.colspec(colwidth=width) for width in (22, 36, 30, 12)]
        head, body = nodes.thead(), nodes.tbody()
        rows = [[[nodes.paragraph(text=name)] for name in heads], *map(cells, OPS)]
        for number, row in enumerate(rows):
            line = nodes.row()
            for cell in row:
                line += nodes.entry("", *cell)
            (body if number else head).append(line)
        group += [head, body]
        return [nodes.table("", group)]


def setup(app):
    """Register the directive."""
    app.add_directive("kernel-table", KernelTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
