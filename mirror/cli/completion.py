"""``completion``: a shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class


class _Bash(BashComplete):
    """Bash takes ``@`` and ``=`` for the ends of words: ours go by blanks, and give back what stands behind those."""

    source_template = r"""%(complete_func)s() {
    local line="${COMP_LINE:0:$COMP_POINT}" words completion type value
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local word="${words[-1]}"
    local before="${word%%"${word##*[$COMP_WORDBREAKS]}"}"
    while IFS=',' read -r type value; do
        case $type in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done < <(
        IFS=$'\n'
        env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) %(complete_var)s=bash_complete "$1"
    )
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    What it prints is for the shell, so there is no --json.

    \b
    minibert-mirror completion bash > ~/.local/share/bash-completion/completions/minibert-mirror
    minibert-mirror completion zsh > "${fpath[1]}/_minibert-mirror"
    minibert-mirror completion fish > ~/.config/fish/completions/minibert-mirror.fish
    """
    kind = _Bash if shell == "bash" else get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "minibert-mirror", "_MINIBERT_MIRROR_COMPLETE").source())
