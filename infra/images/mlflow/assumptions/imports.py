"""What programs take from MLflow by its name, read from their source."""

import ast
from collections.abc import Iterator
from pathlib import Path

from .places import Assumption

MLFLOW = "mlflow"


def of_folder(folder: Path) -> Iterator[Assumption]:
    """Yield what the files of a folder import of MLflow, and take of what they have imported."""
    for file in sorted(folder.rglob("*.py")):
        for place in sorted(of_source(file.read_text())):
            yield Assumption(place, by=file.name)


def of_source(source: str) -> set[str]:
    """Return the places of MLflow that a source names."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _is_mlflow(node.module or ""):
            for name in node.names:
                known[name.asname or name.name] = f"{node.module}:{name.name}"
        elif isinstance(node, ast.Import):
            for name in node.names:
                if _is_mlflow(name.name):
                    known[name.asname or MLFLOW] = name.name if name.asname else MLFLOW
                    modules.add(name.name)
    places = set(known.values()) | modules
    # Another name for the same, as `module: Any = cli`, for what MLflow does not declare.
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Name)
            and node.value.id in known
        ):
            known[node.target.id] = known[node.value.id]
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in known
        ):
            place = known[node.value.id]
            places.add(f"{place}{'.' if ':' in place else ':'}{node.attr}")
        elif isinstance(node, ast.Attribute) and (module := ast.unparse(node.value)) in modules:
            places.add(f"{module}:{node.attr}")
    return places


def _is_mlflow(module: str) -> bool:
    return module.partition(".")[0] == MLFLOW
