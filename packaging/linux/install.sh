#!/bin/sh
# Adds Bantam, where it was unpacked, to this user's menu and "open with", and the command `bantam` to ~/.local/bin.
# `install.sh --remove` takes that away again. Nothing outside your home folder is touched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${XDG_DATA_HOME:-$HOME/.local/share}
bin=$HOME/.local/bin

files() { (cd "$here/share" && find applications icons mime metainfo man -type f); }
refresh() {
    if command -v update-desktop-database >/dev/null; then update-desktop-database -q "$data/applications" || true; fi
    if command -v update-mime-database >/dev/null; then update-mime-database "$data/mime" || true; fi
}

if [ "${1-}" = --remove ]; then
    files | while IFS= read -r file; do rm -f "$data/$file"; done
    if [ "$(readlink "$bin/bantam" || true)" = "$here/bantam" ]; then rm "$bin/bantam"; fi
    refresh
    echo "Bantam is out of the menu. Its program is in $here; your models, chats and settings stay in $data/Bantam."
    exit 0
fi

files | while IFS= read -r file; do
    mkdir -p "$(dirname "$data/$file")"
    cp "$here/share/$file" "$data/$file"
done
# The entry names the program where it is: ~/.local/bin need not be on the desktop's path. Quotes, for a path with spaces.
escaped=$(printf %s "$here/bantam" | sed 's/[\\"`$]/\\\\&/g; s/[&|\\]/\\&/g')
sed -i "s|^Exec=bantam |Exec=\"$escaped\" |; /^TryExec=/d" "$data/applications/bantam.desktop"
mkdir -p "$bin"
ln -sfn "$here/bantam" "$bin/bantam"
refresh
echo "Bantam is in the menu now, and $bin/bantam starts it in a terminal. $0 --remove undoes this."
