"""``completion``: a shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


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
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "minibert-mirror", "_MINIBERT_MIRROR_COMPLETE").source())
