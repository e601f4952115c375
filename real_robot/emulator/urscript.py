"""URScript: the part of the language that control programs use, translated to Python generators.

A function or thread becomes a generator that yields whenever controller time passes. Names are prefixed, calls go
to the script's own functions or to a table of built-in ones, and nothing else of Python can be reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

Steps = Generator[None, None, Any]
Builtins = Mapping[str, Callable[..., Any]]

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*")|(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?)|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<sign>==|!=|<=|>=|[-+*/%<>=(){}\[\],^]))"""
)
PLAIN_WORDS = {"True", "False", "and", "or", "not"}
BLOCK = re.compile(r"(?P<kind>def|thread)\s+(?P<name>\w+)\s*\((?P<names>[^)]*)\)\s*:")
ASSIGNMENT = re.compile(
    r"(?P<scope>global\s+|local\s+)?(?P<name>\w+)(?P<index>\s*\[[^=]*\])?\s*=(?!=)\s*(?P<value>.*)"
)
LOOPS_PER_STEP = 5000


class ScriptError(Exception):
    """The script cannot be understood, or asks for what a controller refuses; the program stops."""


class Pose(list[float]):
    """p[x, y, z, rx, ry, rz]."""


@dataclass
class Thread:
    """A running thread; `steps` is advanced once per controller step."""

    steps: Steps
    alive: bool = True


@dataclass
class Program:
    """A translated script and its threads. `step` runs each thread until controller time must pass."""

    name: str
    namespace: dict[str, Any]
    threads: list[Thread] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        return bool(self.threads) and self.threads[0].alive

    def step(self) -> None:
        """Raises: ScriptError: any thread failed; the program is over."""
        for thread in list(self.threads):
            if not thread.alive:
                continue
            self.namespace["loops"][0] = 0
            try:
                next(thread.steps)
            except StopIteration:
                thread.alive = False
            except ScriptError:
                raise
            except Exception as error:
                raise ScriptError(f"{type(error).__name__}: {error}") from error
        self.threads = [thread for k, thread in enumerate(self.threads) if thread.alive or k == 0]

    def run(self, steps: Steps) -> Thread:
        thread = Thread(steps)
        self.threads.append(thread)
        return thread


def load(script: str, builtins: Builtins) -> Program:
    """Translates a script, `def program(): ... end`, ready to be stepped.

    Args:
        builtins: name to function; one that takes controller time returns a generator.

    Raises:
        ScriptError: not of this form.
    """
    source, name = _translate(script)
    namespace: dict[str, Any] = {"loops": [0], "__builtins__": {}}
    program = Program(name, namespace)

    def call(function: str, *arguments: Any, **named: Any) -> Steps:
        if function not in builtins:
            raise ScriptError(f"no function {function!r} on this controller")
        result = builtins[function](*arguments, **named)
        if isinstance(result, Generator):
            result = yield from result
        return result

    def loop() -> bool:
        namespace["loops"][0] += 1
        if namespace["loops"][0] > LOOPS_PER_STEP:
            raise ScriptError("an infinite loop was detected")
        return True

    def kill(thread: Any) -> None:
        if isinstance(thread, Thread):
            thread.alive = False

    namespace.update(call=call, loop=loop, kill=kill, run=program.run, pose=Pose, copied=_copied)
    try:
        exec(compile(source, f"<script {name}>", "exec"), namespace)
    except SyntaxError as error:
        raise ScriptError(f"{error.msg}: {error.text}") from None
    program.run(namespace[f"f_{name}"]())
    return program


def _copied(value: Any) -> Any:
    return value.__class__(value) if isinstance(value, list) else value


def _translate(script: str) -> tuple[str, str]:
    """Python source and the program's name."""
    lines = _statements(script)
    if not lines or not (outer := BLOCK.fullmatch(lines[0])):
        raise ScriptError("a script must begin with 'def name():'")
    functions = {m["name"] for line in lines if (m := BLOCK.fullmatch(line))}
    shared = _shared_names(lines)
    blocks: list[_Function] = []
    done: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            if match := BLOCK.fullmatch(line):
                names = [n.strip().split("=")[0].strip() for n in match["names"].split(",") if n.strip()]
                blocks.append(_Function(match["name"], names, functions, shared))
            elif blocks[-1].take(line):
                done += blocks.pop().source()
        except (IndexError, ValueError) as error:
            raise ScriptError(f"line {number}: {line!r}: {error}") from None
    if blocks:
        raise ScriptError(f"'end' of {blocks[-1].name} is missing")
    return "\n".join(done), outer["name"]


def _statements(script: str) -> list[str]:
    """One to a line: a value may begin on the line after its '=', and a declaration may follow it there."""
    joined = ""
    for raw in script.splitlines():
        line = _bare(raw)
        joined += line + (" " if line.endswith("=") else "\n")
    parts = re.split(r"\n|(?<=\S)\s+(?=global\s|local\s)", joined)
    return [part.strip() for part in parts if part.strip()]


def _bare(line: str) -> str:
    """Without comment and surrounding space."""
    text, quoted = "", False
    for letter in line:
        quoted ^= letter == '"'
        if letter == "#" and not quoted:
            break
        text += letter
    return text.strip()


def _shared_names(lines: list[str]) -> set[str]:
    """Names of global variables, and of the outermost function's own, which its functions read."""
    depth, shared = 0, set()
    for line in lines:
        match = ASSIGNMENT.fullmatch(line)
        if match and ((match["scope"] or "").startswith("global") or depth == 1):
            shared.add(match["name"])
        if BLOCK.fullmatch(line) or re.match(r"(if|while)\b", line):
            depth += 1
        elif line == "end":
            depth -= 1
    return shared


class _Function:
    """Lines of one function while they are translated."""

    def __init__(self, name: str, parameters: list[str], functions: set[str], shared: set[str]) -> None:
        self.name, self._parameters, self._functions = name, parameters, functions
        self._shared = shared - set(parameters)
        self._lines: list[str] = []
        self._depth = 1

    def source(self) -> list[str]:
        head = [f"def f_{self.name}({', '.join(f'v_{p}' for p in self._parameters)}):"]
        if self._shared:
            head.append("    global " + ", ".join(sorted(f"v_{s}" for s in self._shared)))
        return [*head, "    if False: yield", *self._lines]

    def take(self, line: str) -> bool:
        """Translates a line; true when it ends the function."""
        word = re.match(r"\w*", line)[0]  # type: ignore[index]
        if word == "end":
            self._depth -= 1
            return self._depth == 0
        if word in ("if", "while"):
            condition = self._expression(line.removeprefix(word).rstrip().removesuffix(":"))
            self._put(f"{word} {'loop() and ' * (word == 'while')}({condition}):")
            self._depth += 1
            self._put("pass")
        elif word in ("elif", "else"):
            condition = self._expression(line.removeprefix(word).rstrip().removesuffix(":"))
            self._depth -= 1
            self._put(f"elif ({condition}):" if word == "elif" else "else:")
            self._depth += 1
            self._put("pass")
        elif word in ("enter_critical", "exit_critical"):
            self._put("pass")  # threads change only where time passes
        elif word in ("break", "continue"):
            self._put(word)
        elif word == "return":
            self._put(f"return {self._expression(line.removeprefix(word)) or None}")
        elif word == "kill":
            self._put(f"kill({self._expression(line.removeprefix(word))})")
        elif match := ASSIGNMENT.fullmatch(line):
            index = f"[{self._expression(match['index'].strip()[1:-1])}]" if match["index"] else ""
            self._put(f"v_{match['name']}{index} = copied({self._expression(match['value'])})")
        else:
            self._put(self._expression(line))
        return False

    def _put(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)

    def _expression(self, text: str) -> str:
        """Python for an expression; brackets remember what must be closed with them."""
        tokens = _tokens(text)
        out: list[str] = []
        closing: list[tuple[str, str]] = []
        for k, (kind, token) in enumerate(tokens):
            following = tokens[k + 1][1] if k + 1 < len(tokens) else ""
            before = tokens[k - 1][1] if k else ""
            if kind == "name":
                out.append(self._name(token, following, before, "(" in [c[0] for c in closing]))
            elif token in "([":
                is_call = token == "(" and k > 0 and tokens[k - 1][0] == "name" and before not in PLAIN_WORDS
                is_pose = token == "[" and before == "p" and out[-1] == "pose("
                out.append("" if is_call else token)
                closing.append(
                    (token, "))" if is_call else "])" if is_pose else ")" if token == "(" else "]")
                )
            elif token in ")]":
                if not closing:
                    raise ValueError(f"{token!r} without an opening bracket")
                out.append(closing.pop()[1])
            else:
                out.append(repr(token[1:-1]) if kind == "text" else "**" if token == "^" else token)
        if closing:
            raise ValueError("a bracket is not closed")
        return " ".join(out)

    def _name(self, name: str, following: str, before: str, in_call: bool) -> str:
        if name in PLAIN_WORDS or (following == "=" and in_call):
            return name
        if name == "run":
            return "run("
        if name == "p" and following == "[" and "p" not in self._parameters:
            return "pose("
        if following != "(":
            return f"v_{name}"
        if before == "run":
            return f"f_{name}("
        return f"(yield from f_{name}(" if name in self._functions else f"(yield from call({name!r}, "


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise ValueError(f"{text[at:]!r} is not URScript")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return found
