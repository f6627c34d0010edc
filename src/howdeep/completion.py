"""What Tab completes in a shell: commands, options, entries, groups of conf/, their choices, and keys of the config.

`howdeep completion bash` prints a script, which asks `howdeep completion bash -- LINE` at each Tab.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from howdeep.errors import UserError
from howdeep.files import configs, project, reading
from howdeep.names import is_name

SCRIPTS = {
    "bash": r"""_howdeep() {
    local found line="${COMP_LINE:0:COMP_POINT}" kept=""
    local word="${line##*[[:space:]]}" breaks="${COMP_WORDBREAKS//[^=:]/}"
    [[ $breaks ]] && kept="${word%"${word##*[$breaks]}"}"  # readline puts the answer behind the last of them
    COMPREPLY=()
    while IFS= read -r found; do
        COMPREPLY+=("${found#"$kept"}")
    done < <("$1" completion bash -- "$line" 2>/dev/null)
}
complete -o nospace -o default -F _howdeep howdeep
""",
    "zsh": r"""#compdef howdeep
_howdeep() {
    local -a found
    found=("${(@f)$(${words[1]} completion zsh -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    compadd -S '' -- ${found:#* }
    compadd -- ${${(M)found:#* }% }
    (( compstate[nmatches] )) || { compset -P '*='; _files }
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _howdeep howdeep
""",
    "fish": r"""function __howdeep
    set -l words (commandline -opc)
    $words[1] completion fish -- $words[2..] (commandline -ct) 2>/dev/null | string trim --right
end
complete -c howdeep -f -a '(__howdeep)'
""",
}
SHELLS = tuple(SCRIPTS)
OF_ENTRIES, OF_OVERRIDES = ("tune-entry", "train-entry"), ("train", "pull", "prepare")
# Hydra's, which takes the command line of `train` whole.
OF_TRAIN = (
    "--multirun",
    "--cfg",
    "--resolve",
    "--info",
    "--package",
    "--config-dir",
    "--help",
    "--hydra-help",
)
PLAIN = re.compile(r"[\w.+-]+")  # what no shell reads as anything else


def words_of(shell: str, asked: Sequence[str]) -> list[str]:
    """The words after `howdeep`, the last of which is being typed; bash, which breaks words at =, gives the line."""
    if shell != "bash":
        return list(asked)
    try:
        words = shlex.split(asked[0])
    except ValueError:  # in the middle of a quoted word, where bash would break it elsewhere
        return []
    return words[1:] + ([""] if asked[0][-1:].isspace() else [])


def candidates(
    words: Sequence[str], commands: Iterable[str], options: Callable[[str], Iterable[str]]
) -> list[str]:
    """What the last word may become, with a blank behind it where it is then complete.

    Args:
        words: those after `howdeep`.
        commands: the names of all commands.
        options: gives those of a command.
    """
    if not words:
        return []
    *before, word = words
    try:
        found = list(_all(before, word, commands, options))
    except UserError:  # no project, or one that cannot be read: to be told when the command is run
        return []
    return sorted({candidate for candidate in found if candidate.startswith(word)})


def _all(
    before: Sequence[str], word: str, commands: Iterable[str], options: Callable[[str], Iterable[str]]
) -> Iterable[str]:
    if not before:
        return _complete(["--help", "--version"] if word.startswith("-") else commands)
    command = before[0]
    if word.startswith("-"):
        return _complete(OF_TRAIN if command == "train" else options(command))
    if command == "train" and before[-1] in ("--cfg", "-c"):
        return _complete(["job", "hydra", "all"])
    if command == "completion" and len(before) == 1:
        return _complete(SHELLS)
    if command in OF_ENTRIES and len(before) == 1:
        plan = reading.yaml_of(project.find().params)
        entries = plan.get("entries") if isinstance(plan, dict) else None
        return _complete(name for name in entries or () if is_name(name))
    if command in OF_OVERRIDES:
        typed = [other for other in before[1:] if not other.startswith("-")]
        several = command == "train" and any(flag in before for flag in ("-m", "--multirun"))
        return _overrides(word, typed, project.find().conf, several)
    return ()


def _complete(words: Iterable[str]) -> list[str]:
    return [f"{word} " for word in words]


def _overrides(word: str, typed: Sequence[str], conf: Path, several: bool) -> list[str]:
    """Groups and keys; of a group or a key that is there, its values, and after a comma the next one."""
    sign = word[: len(word) - len(word.lstrip("+~"))]
    name, equals, value = word[len(sign) :].partition("=")
    if not equals:
        return [f"{sign}{candidate}" for candidate in _names(name, typed, conf)]
    done, comma, _ = value.rpartition(",")
    taken, end = done.split(","), "" if several else " "
    choices = _choices(name, typed, conf)
    return [f"{sign}{name}={done}{comma}{choice}{end}" for choice in choices if choice not in taken]


def _names(name: str, typed: Sequence[str], conf: Path) -> list[str]:
    """Groups with = behind them, and the keys of the config, a level at a time."""
    above, slash, _ = name.rpartition("/")
    if slash:
        return [f"{above}/{group}=" for group in _hydras(above, conf, groups=True)]
    groups = [group for group in configs.groups(conf) if configs.options(conf, group)]
    level = name.rpartition(".")[0]
    node = _value(level, typed, conf)
    keys = node if isinstance(node, dict) else {}
    ends = {key: "." if isinstance(child, dict) else "=" for key, child in keys.items()}
    above = f"{level}." if level else ""
    return [
        *(f"{group}=" for group in groups),
        "hydra/",
        *(f"{above}{key}{end}" for key, end in ends.items()),
    ]


def _choices(name: str, typed: Sequence[str], conf: Path) -> list[str]:
    """The files of a group, or the value that a key has."""
    if name.startswith("hydra/"):
        return _hydras(name, conf)
    if _is_group(name, conf):
        return configs.options(conf, name)
    value = _value(name, typed, conf)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return [text] if isinstance(value, str | int | float) and PLAIN.fullmatch(text) else []


def _is_group(name: str, conf: Path) -> bool:
    return re.fullmatch(r"\w+(/\w+)*", name) is not None and configs.is_group(conf, name)


def _value(name: str, typed: Sequence[str], conf: Path) -> Any:
    """What the config has under a key, with the choices that were typed before."""
    chosen = [line for line in typed if line.startswith("hydra/") or _is_group(line.partition("=")[0], conf)]
    node: Any = _composed([line for line in chosen if "," not in line], conf)
    for key in filter(None, name.split(".")):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _composed(overrides: Sequence[str], conf: Path) -> Any:
    from hydra import compose
    from omegaconf import OmegaConf

    from howdeep.study.complaints import COMPLAINTS
    from howdeep.study.composition import composer

    try:
        with composer(conf):
            return OmegaConf.to_container(compose("train", list(overrides), return_hydra_config=True))
    except COMPLAINTS:  # to be told when the command is run
        return None


def _hydras(group: str, conf: Path, *, groups: bool = False) -> list[str]:
    """The choices of one of Hydra's own groups, or the groups in it; packages bring some."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.object_type import ObjectType

    from howdeep.study.composition import composer

    with composer(conf):
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group, ObjectType.GROUP if groups else ObjectType.CONFIG)
