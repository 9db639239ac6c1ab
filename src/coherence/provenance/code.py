"""Code identity: the modules that a script imports, read without running them, and a hash of each."""

import ast
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from coherence.provenance.files import sha256_bytes, sha256_file

CONSOLE = "coherence.console"
NEUTRAL = ("src/coherence/provenance/", "src/coherence/console.py", "src/coherence/cluster/slots.py")
"""Plumbing, by name: these files cannot change a result. A test keeps arithmetic libraries out of them."""
SOURCES = ("scripts", "src")
RUNNERS = frozenset({"run_cli"})
"""What of the console runs its argument; all else there only prints."""
PURE = frozenset({"abs", "float", "int", "len", "repr", "round", "str", "type"})
"""Calls inside a progress message that do nothing but look."""


@dataclass(frozen=True)
class Import:
    """One import statement: `from ..a import b` is (2, "a", ("b",)), `import a.b` is (0, "a.b", ())."""

    level: int
    module: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """What one reading of a source file tells."""

    imports: tuple[Import, ...]
    code: str
    hashed_files: tuple[str, ...]


def closure(script: Path, root: Path) -> tuple[Path, ...]:
    """The script and all local modules (root/scripts, root/src) that it imports, directly or not, sorted.

    By syntax only: imports inside functions count, those under `if TYPE_CHECKING:` do not, and a name that is
    made at run time (importlib) is not seen. ValueError for a missing script or a syntax error.
    """
    if not script.is_file():
        raise ValueError(f"script {script} does not exist")
    root, todo, seen = root.resolve(), [script.resolve()], set[Path]()
    tree = tuple((folder, Path(folder).stat().st_mtime_ns) for top in SOURCES for folder, _, _ in os.walk(root / top))
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo.extend(_local_files(_module(path).imports, path, root, tree))
    return tuple(sorted(seen))


def code_parts(script: Path, root: Path) -> dict[str, str]:
    """{path relative to root: sha256} of each module of the closure that can change a result.

    Hashed is the module's syntax without comments, docstrings and progress messages, and the bytes of files
    that a module names in `HASHED_FILES` (relative to its folder). If docstrings are data, it names itself.
    """
    root = root.resolve()
    modules = {path: _module(path) for path in closure(script, root) if not _neutral(path, root)}
    code = {path.relative_to(root).as_posix(): module.code for path, module in modules.items()}
    data = (_hashed_file(path, name, root) for path in modules for name in modules[path].hashed_files)
    return code | {path.relative_to(root).as_posix(): sha256_file(path) for path in data}


def third_party(script: Path, root: Path) -> frozenset[str]:
    """Top-level names of the packages that the closure imports: neither local nor the standard library's.

    Neutral modules do not count: what the console needs to parse a command line changes no result.
    """
    root = root.resolve()
    modules = (_module(path) for path in closure(script, root) if not _neutral(path, root))
    imports = (entry for module in modules for entry in module.imports if not entry.level)
    names = {entry.module.split(".")[0] for entry in imports} - sys.stdlib_module_names
    return frozenset(name for name in names if _search(name, root) is None)


def _neutral(path: Path, root: Path) -> bool:
    return path.relative_to(root).as_posix().startswith(NEUTRAL)


def _hashed_file(module: Path, name: str, root: Path) -> Path:
    path = (module.parent / name).resolve()
    if not path.is_file() or not path.is_relative_to(root):
        raise ValueError(f"{module.relative_to(root)}: HASHED_FILES names '{name}', no file of this clone")
    return path


# ------------------------------------------------------------------------------- from names to files


@lru_cache(maxsize=4096)
def _local_files(
    imports: Sequence[Import], path: Path, root: Path, tree: Sequence[tuple[str, int]]
) -> tuple[Path, ...]:
    """The files that these imports of `path` run; `tree`, the folders and when each last changed, is for the cache."""
    found = list[Path]()
    for entry in imports:
        parts = entry.module.split(".") if entry.module else []
        folder = path.parents[entry.level - 1] if entry.level else _search(parts[0], root)
        if folder is not None:
            found += _executed(folder, parts)
            for name in entry.names:
                found += _executed(folder, [*parts, name])
    return tuple(found)


def _search(top: str, root: Path) -> Path | None:
    """The folder of sys.path that holds module `top`, scripts first as in Python; None if not local."""
    for folder in (root / top for top in SOURCES):
        if (folder / f"{top}.py").is_file() or any((folder / top).rglob("*.py")):
            return folder
    return None


def _executed(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The files that importing a.b.c runs: the packages' __init__.py (if they have one) and the module."""
    for part in parts:
        package, module = folder / part / "__init__.py", folder / f"{part}.py"
        if not package.is_file() and module.is_file():
            yield module
            return
        if package.is_file():
            yield package
        folder = folder / part


# ------------------------------------------------------------------------------- reading one module


def _module(path: Path) -> Module:
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _read(path: Path, mtime_ns: int, size: int) -> Module:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from None
    imports, hashed_files = tuple(_imports(tree)), _hashed_files(tree, path)
    return Module(imports, sha256_bytes(ast.unparse(_Bare(tree).visit(tree)).encode()), hashed_files)


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(0, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        names = tuple(alias.name for alias in node.names if alias.name != "*")
        yield Import(node.level, node.module or "", names)
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for statement in node.orelse:
            yield from _imports(statement)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child)


def _hashed_files(tree: ast.Module, path: Path) -> tuple[str, ...]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and "HASHED_FILES" in map(_name, targets):
            items = node.value.elts if isinstance(node.value, ast.Tuple | ast.List) else [node.value]
            names = tuple(item.value for item in items if isinstance(item, ast.Constant))
            if len(names) < len(items) or not isinstance(node.value, ast.Tuple | ast.List):
                raise ValueError(f"{path}: HASHED_FILES must be a tuple of file names, written out")
            return tuple(map(str, names))
    return ()


def _name(node: ast.AST | None) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


# ------------------------------------------------------------------------------- what cannot change a result


class _Bare(ast.NodeTransformer):
    """Takes out docstrings (all bare strings), and progress messages with their import."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions, self.modules = _console_names(tree)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.AST] | None:
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return None
        if isinstance(value, ast.Call) and self._is_message(value.func):
            inner = [*value.args, *(keyword.value for keyword in value.keywords)]
            return [ast.Expr(self.visit(effect)) for argument in inner for effect in _effects(argument)]
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """An f-string as a call: Python 3.11, 3.12 and 3.13 parse and write what is inside one differently."""
        self.generic_visit(node)
        parts = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return ast.Call(ast.Name("f-string"), parts, [])

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        form = [ast.Constant(node.conversion), *([node.format_spec] if node.format_spec else [])]
        return ast.Tuple([node.value, *form])

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if _console_name(node, alias) is None]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        node.names = [alias for alias in node.names if _console_name(node, alias) is None]
        return node if node.names else None

    def _is_message(self, called: ast.expr) -> bool:
        if isinstance(called, ast.Attribute):
            return called.attr not in RUNNERS and ast.unparse(called.value) in self.modules
        return _name(called) in self.functions


def _console_name(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str | None:
    """What of the console this import names: "" for the console itself, None if it is of something else."""
    full = alias.name if isinstance(node, ast.Import) else "." * node.level + f"{node.module}.{alias.name}"
    return full.removeprefix(CONSOLE).lstrip(".") if f"{full}.".startswith(f"{CONSOLE}.") else None


def _console_names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Local names of the console's printing functions and of the console itself.

    None where the module binds one of the names to anything else too: its calls may then be no messages.
    """
    functions, modules, others = set[str](), set[str](), set(_bound(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            name, local = _console_name(node, alias), alias.asname or alias.name
            kind = others if name is None or name in RUNNERS else functions if name else modules
            kind.add(local)
    return (set(), set()) if (functions | modules) & others else (functions, modules)


def _bound(tree: ast.Module) -> Iterator[str]:
    """All names that the module binds by other means than an import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def _effects(node: ast.AST) -> Iterator[ast.expr]:
    """The outermost parts of a message that do more than look: `progress(f"{next(rows)}")` takes a row."""
    pure = isinstance(node, ast.Call) and _name(node.func) in PURE
    if isinstance(node, ast.Call | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom) and not pure:
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from _effects(child)
