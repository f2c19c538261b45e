# For the `stage` scripts below: each fills the build context of its image. A script is called with the directory of
# the context and the cache; whatever it fetches comes through the machine's own package managers.
# shellcheck shell=bash

# What packages ask for only because of their installation scripts, which nobody runs here.
for_scripts='^(adduser|debconf|dpkg|init-system-helpers|libaudit.*|libfile-find-rule-perl|libnumber-compare-perl'
for_scripts+='|libpam.*|libperl.*|libsemanage.*|libsepol.*|libtext-glob-perl|lsb-base|passwd|perl.*|sysvinit-utils|tar'
for_scripts+='|usrmerge)_'

# debian ROOT PACKAGE...: the files of Debian packages, and of all that they depend on, in an empty root directory.
debian() {
    local root=$1 archives deb
    shift
    archives="$work/archives"
    mkdir -p "$archives/partial" "$root"/{etc,tmp,usr/bin,usr/sbin,usr/lib,usr/lib64}
    chmod 1777 "$root/tmp"
    for deb in bin sbin lib lib64; do
        ln -s "usr/$deb" "$root/$deb"
    done
    # For apt, nothing is installed yet: so it finds every dependency.
    : >"$work/status"
    apt-get install --yes --download-only --no-install-recommends -o Dir::State::status="$work/status" \
        -o Dir::Cache::archives="$archives" -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
    for deb in "$archives"/*.deb; do
        [[ $(basename "$deb") =~ $for_scripts ]] || unpack "$deb" "$root"
    done
    rm -rf "$archives"
}

unpack() {
    dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --no-same-owner \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        --exclude='./usr/share/info/*' --exclude='./usr/share/lintian/*'
}

# user ROOT NAME ID: the one user that the image runs as.
user() {
    printf 'root:x:0:0::/:/bin/sh\n%s:x:%d:%d::/:/bin/sh\n' "$2" "$3" "$3" >"$1/etc/passwd"
    printf 'root:x:0:\n%s:x:%d:\n' "$2" "$3" >"$1/etc/group"
}

# shell ROOT: a shell and the usual small commands, all in one file.
shell() {
    local applet
    cp /bin/busybox "$1/usr/bin/busybox"
    for applet in $(/bin/busybox --list); do
        [ -e "$1/usr/bin/$applet" ] || ln -s busybox "$1/usr/bin/$applet"
    done
}

# catalogs ROOT BUILD: a root directory with `opm`, and the probe that OLM asks it with; BUILD is hack/parts/build.
catalogs() {
    local opm
    opm=$("$2" opm)
    mkdir -p "$1"/{etc,tmp,usr/bin}
    chmod 1777 "$1/tmp"
    ln -s usr/bin "$1/bin"
    user "$1" olm 1001
    install -m 755 "$opm/opm" "$1/usr/bin/opm"
    install -m 755 "$opm/grpc-health-probe" "$1/usr/bin/grpc_health_probe"
}
