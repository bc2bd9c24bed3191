"""What Python code asks of the system: other programs, variables of the environment, addresses."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bundler.builder.source_policy.command_words import script_in
from bundler.builder.source_policy.commands import judge_command, model_hosts_in
from bundler.builder.source_policy.environment import OFFLINE_VARIABLES, judge_removal, judge_variable
from bundler.builder.source_policy.evaluation import Evaluator
from bundler.builder.source_policy.findings import Spot
from bundler.builder.source_policy.hosts import is_model_host, model_host
from bundler.builder.source_policy.names import Called, dotted
from bundler.builder.source_policy.rules import ENV_ONLINE, HUB_URL
from bundler.builder.source_policy.shell_words import ShellFault, read_commands
from bundler.builder.source_policy.values import HOLE

_LINES = (
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
)
_LISTS = ("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen")
_WORDS = (
    "asyncio.create_subprocess_exec",
    "os.execl",
    "os.execlp",
    "os.execv",
    "os.execvp",
    "os.spawnlp",
    "os.spawnvp",
)
_CONNECTIONS = ("http.client.HTTPSConnection", "http.client.HTTPConnection", "socket.create_connection")
#: Libraries that read the variables while they are imported.
_READERS = frozenset(
    ["transformers", "huggingface_hub", "sentence_transformers", "datasets", "diffusers", "peft", "evaluate"]
)


def process_spots(known: Evaluator) -> Iterator[Spot]:
    """Programs that are started, and connections to model hosts."""
    for called in known.calls:
        for words in _command_lines(called, known):
            place = (called.node.lineno, called.node.col_offset + 1)
            yield from (Spot(rule, *place, what) for rule, what in judge_command(words))
            yield from (Spot(HUB_URL, *place, f"an address of {host}") for host in model_hosts_in(words))
        if called.name in _CONNECTIONS and called.args:
            first = called.args[0]
            inner = first.elts[0] if isinstance(first, ast.Tuple) and first.elts else first
            for host in known.texts(inner):
                if is_model_host(host):
                    yield Spot(HUB_URL, called.node.lineno, called.node.col_offset + 1, f"a connection to {host}")


def _command_lines(called: Called, known: Evaluator) -> Iterator[list[str]]:
    """The words of each program that the call starts."""
    first = called.args[0] if called.args else called.keyword("args")
    if first is None or called.name not in (*_LINES, *_LISTS, *_WORDS):
        return
    if called.name in _LISTS and known.displays(first):
        for display in known.displays(first):
            items = display.elts if not isinstance(display, ast.Dict) else []
            yield from _with_scripts([_word(item, known) for item in items])
    elif called.name in _WORDS:
        yield from _with_scripts([_word(item, known) for item in called.args])
    else:
        for text in known.texts(first):
            yield from _words_of(text)


def _word(item: ast.expr, known: Evaluator) -> str:
    """One word of a list; the running interpreter is a Python."""
    if isinstance(item, ast.Starred):
        return "$*"
    return "python" if dotted(item, known.module) == "sys.executable" else known.texts(item)[0].replace(HOLE, "$_")


def _with_scripts(words: list[str]) -> Iterator[list[str]]:
    yield words
    inner = script_in(words)
    if inner is not None:
        yield from _words_of(inner)


def _words_of(text: str) -> Iterator[list[str]]:
    try:
        yield from (list(command.words) for command in read_commands(text.replace(HOLE, "$_")))
    except ShellFault:
        return


def variable_spots(known: Evaluator) -> Iterator[Spot]:
    """Variables that the code sets or removes: to what, and whether a library was imported before."""
    imported = _first_import(known.module.tree)
    for name, node, value in set_variables(known):
        texts = known.texts(value) if value is not None else []
        verdicts = [judge_variable(name, text.replace(HOLE, "$")) for text in texts or ["$"]]
        if value is None:
            verdicts = [judge_removal(name)]
        found = [verdict for verdict in verdicts if verdict is not None and verdict[0] != HUB_URL]
        if not found and name in OFFLINE_VARIABLES and imported and imported[1] < node.lineno:
            found = [
                (ENV_ONLINE, f"{name} is set after the import of {imported[0]} in line {imported[1]}, which reads it")
            ]
        yield from (Spot(rule, node.lineno, node.col_offset + 1, what) for rule, what in dict.fromkeys(found))
    yield from _switched_constants(known)


def set_variables(known: Evaluator) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """Name, place and value of each variable that the code sets; the value is None where it is removed."""
    for node in known.module.nodes:
        targets = node.targets if isinstance(node, (ast.Assign, ast.Delete)) else []
        for target in targets:
            if isinstance(target, ast.Subscript) and _is_environment(target.value, known):
                value = node.value if isinstance(node, ast.Assign) else None
                yield from ((name, target, value) for name in known.texts(target.slice))
    for called in known.calls:
        if called.name in ("os.environ.setdefault", "os.putenv") and len(called.args) == 2:
            yield from ((name, called.node, called.args[1]) for name in known.texts(called.args[0]))
        elif called.name in ("os.environ.pop", "os.unsetenv") and called.args:
            yield from ((name, called.node, None) for name in known.texts(called.args[0]))
        elif called.name == "os.environ.update":
            yield from _updated(called, known)


def _updated(called: Called, known: Evaluator) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    yield from ((each.arg, called.node, each.value) for each in called.keywords if each.arg)
    for display in known.displays(called.args[0]) if called.args else []:
        if isinstance(display, ast.Dict):
            pairs = [(key, value) for key, value in zip(display.keys, display.values) if key is not None]
            yield from ((name, key, value) for key, value in pairs for name in known.texts(key))


def _is_environment(expr: ast.expr, known: Evaluator) -> bool:
    return dotted(expr, known.module) == "os.environ"


def _first_import(tree: ast.Module) -> tuple[str, int] | None:
    """The first import of a library that reads the variables, at the module's top level, and its line."""
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            if name.partition(".")[0] in _READERS:
                return name, node.lineno
    return None


def _switched_constants(known: Evaluator) -> Iterator[Spot]:
    """``huggingface_hub.constants.HF_HUB_OFFLINE = False``."""
    assigned = [node for node in known.module.nodes if isinstance(node, ast.Assign)]
    for node, target in ((each, target) for each in assigned for target in each.targets):
        named = isinstance(target, ast.Attribute) and target.attr in OFFLINE_VARIABLES
        if named and any(value.known and not value.content for value in known.values(node.value)):
            what = f"{ast.unparse(target)} is switched off"
            yield Spot(ENV_ONLINE, node.lineno, node.col_offset + 1, what)


def address_spots(known: Evaluator) -> Iterator[Spot]:
    """Literal addresses of model hosts. What has blanks is a text for people, and a docstring is none of the program."""
    for node in known.module.nodes:
        whole = isinstance(node, (ast.JoinedStr, ast.BinOp))
        if not whole and not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        parent = known.module.parents.get(node)
        if isinstance(parent, (ast.Expr, ast.JoinedStr, ast.BinOp)) or not isinstance(node, ast.expr):
            continue
        if not any("://" in str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)):
            continue  # an address begins in the place where it is put together
        for text in known.texts(node):
            host = model_host(text) if not any(char.isspace() for char in text.strip()) else None
            if host is not None:
                yield Spot(HUB_URL, node.lineno, node.col_offset + 1, f"an address of {host}")
                break
