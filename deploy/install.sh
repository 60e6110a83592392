#!/bin/sh
# Installs gw from its bundle on a machine without internet; run again it repairs, and from a newer bundle it
# upgrades. `install.sh --help` lists everything. What it keeps, below the folder of the installation:
#   .env               the settings of this machine, among them which version runs
#   gwproc/            the models
#   backups/           where `docker compose run --rm gw backup` writes to
#   api-key            the first API key
#   versions/VERSION/  the Compose files and documents of each installed version
# Jobs and pictures lie in Docker's volumes.
set -eu
umask 022

here="$(cd "$(dirname "$0")" && pwd)"
prefix=/gwapp
action=install
kind="" publish="" models="" npu="" target="" timeout_s=900
purge=no with_redis=no new_key=no

case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in zh*) is_chinese=yes ;; *) is_chinese=no ;; esac

# Everything is told in two languages: tell ENGLISH CHINESE.
tell() { if [ "${is_chinese}" = yes ]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi; }
warn() { tell "warning: $1" "注意：$2" >&2; }
die() { tell "install.sh: $1" "install.sh：$2" >&2; exit 1; }
problems=0
problem() { tell "not fit: $1" "不满足：$2" >&2; problems=$((problems + 1)); }

usage() {
    tell "usage: install.sh [ACTION] [OPTION...]
actions (none: install, repair or upgrade)
  --check          only check this machine; changes nothing
  --list           list the installed versions
  --use VERSION    run another installed version; back by itself if it does not become ready
  --rollback       run the version that ran before
  --start, --stop  start or stop, as the systemd unit does
  --uninstall      remove containers, images and the unit; data, settings and models stay
options
  --prefix DIR     where gw is installed [/gwapp]
  --kind KIND      ascend, ascend-runtime or cpu [found out]
  --publish ADDR   where the API answers: 8080, or 127.0.0.1:8080 [8080]
  --models DIR     the folder of the models [PREFIX/gwproc]
  --npu N          which NPU: the number in /dev/davinci0 [0]
  --timeout S      how long the stack may take to become healthy [900]
  --with-redis     upgrade Redis too; it cannot go back to an older one
  --new-key        make another API key with all rights
  --purge          with --uninstall: delete all data and settings too; models and backups stay" \
"用法：install.sh [操作] [选项...]
操作（不写：安装、修复或升级）
  --check          只检查本机，不做任何改动
  --list           列出已安装的版本
  --use VERSION    切换到另一个已安装的版本；不能就绪时自动切回
  --rollback       回到上一个版本
  --start, --stop  启动或停止（systemd 单元用的就是它们）
  --uninstall      删除容器、镜像和 systemd 单元；数据、设置、模型保留
选项
  --prefix DIR     安装目录 [/gwapp]
  --kind KIND      ascend、ascend-runtime 或 cpu [自动判断]
  --publish ADDR   API 的监听地址：8080 或 127.0.0.1:8080 [8080]
  --models DIR     模型目录 [安装目录/gwproc]
  --npu N          用哪个 NPU：/dev/davinci0 里的数字 [0]
  --timeout S      最多等多少秒让整套服务健康 [900]
  --with-redis     连 Redis 一起升级；升级后不能再用旧版 Redis
  --new-key        再创建一个拥有全部权限的 API 密钥
  --purge          与 --uninstall 合用：数据与设置一并删除，模型和备份仍保留"
}

while [ $# -gt 0 ]; do
    case "$1" in
        --prefix | --kind | --publish | --models | --npu | --timeout | --use)
            [ $# -ge 2 ] || die "$1 needs a value" "$1 缺少取值" ;;
    esac
    case "$1" in
        --check | --list | --rollback | --start | --stop | --uninstall) action="${1#--}" ;;
        --use) action=use target="$2"; shift ;;
        --prefix) prefix="$2"; shift ;;
        --kind) kind="$2"; shift ;;
        --publish) publish="$2"; shift ;;
        --models) models="$2"; shift ;;
        --npu) npu="$2"; shift ;;
        --timeout) timeout_s="$2"; shift ;;
        --with-redis) with_redis=yes ;;
        --new-key) new_key=yes ;;
        --purge) purge=yes ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
case "${kind}" in "" | ascend | ascend-runtime | cpu) ;; *) usage >&2; exit 2 ;; esac
case "${timeout_s}${npu}" in *[!0-9]*) usage >&2; exit 2 ;; esac
case "${prefix}" in /*) ;; *) prefix="$(pwd)/${prefix}" ;; esac
case "${models}" in "" | /*) ;; *) models="$(pwd)/${models}" ;; esac

# What the shell exports would win over .env.
for name in COMPOSE_FILE COMPOSE_ENV_FILES COMPOSE_PROFILES $(env | sed -n 's/^\(GW_[A-Z0-9_]*\)=.*/\1/p'); do
    unset "${name}"
done

# --- what is where ----------------------------------------------------------------------------------

is_bundle() { [ -f "${here}/SHA256SUMS" ] && [ -f "${here}/VERSION" ]; }
fact() { sed -n "s/^$1=//p" "${here}/VERSION"; }
setting() { [ ! -f "${prefix}/.env" ] || sed -n "s/^$1=//p" "${prefix}/.env" | tail -n 1; }
is_installed() { [ -n "$1" ] && [ -f "${prefix}/versions/$1/docker-compose.yaml" ]; }
running_version() { found="$(setting GW_VERSION)"; if is_installed "${found}"; then echo "${found}"; fi; }
previous_version() { [ ! -f "${prefix}/versions/previous" ] || cat "${prefix}/versions/previous"; }

find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose_words="docker compose"
    else
        compose_words="${COMPOSE:-docker-compose}"
    fi
}
# Where it runs `.env` lies, which names the files.
# shellcheck disable=SC2086  # two words
compose() { (cd "${prefix}" && ${compose_words} "$@"); }

# Written whole or not at all: whatever happens in between, the settings before are in force.
# shellcheck disable=SC2034  # read by awk
put_setting() {
    (
        umask 077
        name="$1" value="$2"
        export name value
        awk '
            index($0, ENVIRON["name"] "=") == 1 {
                if (!done) print ENVIRON["name"] "=" ENVIRON["value"]
                done = 1
                next
            }
            { print }
            END { if (!done) print ENVIRON["name"] "=" ENVIRON["value"] }
        ' "${prefix}/.env" >"${prefix}/.env.part"
        mv "${prefix}/.env.part" "${prefix}/.env"
    )
}

# --- is this machine fit ------------------------------------------------------------------------------

check_engine() {
    command -v docker >/dev/null 2>&1 || {
        problem "docker is not installed; install the engine from this system's own packages" \
            "没有安装 docker；请用系统自带的软件包安装"
        return 0
    }
    engine="$(docker version --format '{{.Server.Version}}' 2>/dev/null || true)"
    if [ -z "${engine}" ]; then
        problem "the Docker engine does not answer; start it: systemctl start docker" \
            "Docker 引擎没有响应；请启动：systemctl start docker"
        return 0
    fi
    at_least "${engine}" 20 10 || problem "Docker ${engine} is too old; 20.10 or newer is needed" \
        "Docker ${engine} 太旧；需要 20.10 或更新"
    # shellcheck disable=SC2086  # two words
    version="$(${compose_words} version --short 2>/dev/null || true)"
    if [ -z "${version}" ]; then
        problem "Docker Compose is not installed; install the package docker-compose-plugin or docker-compose-v2" \
            "没有安装 Docker Compose；请安装 docker-compose-plugin 或 docker-compose-v2"
    elif ! at_least "${version#v}" 2 24; then
        problem "Docker Compose ${version} is too old; 2.24 or newer is needed" \
            "Docker Compose ${version} 太旧；需要 2.24 或更新"
    fi
}
at_least() {
    major="${1%%.*}" rest="${1#*.}"
    minor="${rest%%[!0-9]*}"
    [ "${major}" -gt "$2" ] || { [ "${major}" -eq "$2" ] && [ "${minor:-0}" -ge "$3" ]; }
}

check_bundle() {
    machine="$(uname -m)"
    [ "${machine}" != arm64 ] || machine=aarch64
    [ "${machine}" = "$(fact arch)" ] || problem \
        "this machine is ${machine} and the bundle for $(fact arch); take the other bundle" \
        "本机是 ${machine}，而安装包用于 $(fact arch)；请换用对应的安装包"
    # A line of a Compose file may have been taken out by hand, as check_npu tells to.
    differing="$(cd "${here}" && sha256sum --check --quiet SHA256SUMS 2>/dev/null | cut -d : -f 1)"
    damaged="$(printf '%s' "${differing}" | grep -v '^deploy/compose\.' | head -n 3 | tr '\n' ' ')"
    edited="$(printf '%s' "${differing}" | tr '\n' ' ')"
    [ -z "${edited}" ] || [ -n "${damaged}" ] || warn "changed by hand: ${edited}" "被手工改过：${edited}"
    [ -z "${damaged}" ] || problem "the bundle is damaged (${damaged% }); copy it again" \
        "安装包已损坏（${damaged% }）；请重新拷贝"
    [ "${kind}" != cpu ] || grep -q '^gw/dispatcher-cpu:' "${here}/IMAGES" || problem \
        "this bundle has no image for a machine without NPU; build one with COMPOSE_FILE for the CPU" \
        "安装包里没有 CPU 版镜像；请用 CPU 版的 COMPOSE_FILE 重新制作"
    [ "${kind}" = cpu ] || grep -q '^gw/dispatcher:' "${here}/IMAGES" || problem \
        "this bundle has no image for an NPU; use --kind cpu, or another bundle" \
        "安装包里没有 NPU 版镜像；请用 --kind cpu，或换一个安装包"
}

check_room() {
    root="$(docker info --format '{{.DockerRootDir}}' 2>/dev/null || true)"
    [ -d "${root}" ] || root=/
    free_mb=$(($(df -Pk "${root}" | awk 'NR == 2 {print $4}') / 1024))
    needed_mb=512
    images_are_loaded || needed_mb=$(($(fact images_bytes) / 500000 + 1024))
    [ "${free_mb}" -ge "${needed_mb}" ] || problem \
        "${root} has ${free_mb} MB free and ${needed_mb} MB are needed; make room: docker system df shows what images take" \
        "${root} 剩余 ${free_mb} MB，需要 ${needed_mb} MB；请腾出空间：docker system df 可查看镜像占用"
    memory_mb=$(($(awk '/^MemTotal:/ {print $2}' /proc/meminfo) / 1024))
    [ "${memory_mb}" -ge 1500 ] || problem "this machine has ${memory_mb} MB of memory; 1500 MB are the least" \
        "本机内存 ${memory_mb} MB；至少需要 1500 MB"
    [ "$(cat /proc/sys/vm/overcommit_memory 2>/dev/null || echo 1)" = 1 ] || warn \
        "Redis asks for vm.overcommit_memory=1: echo vm.overcommit_memory=1 > /etc/sysctl.d/90-redis.conf && sysctl --system" \
        "Redis 需要 vm.overcommit_memory=1：echo vm.overcommit_memory=1 > /etc/sysctl.d/90-redis.conf && sysctl --system"
}

check_npu() {
    [ "${kind}" != cpu ] || return 0
    ids="$(id -u HwHiAiUser 2>/dev/null || true):$(id -g HwHiAiUser 2>/dev/null || true)"
    [ "${ids}" != : ] || ids="-"
    [ "${ids}" = 1000:1000 ] || problem \
        "the user HwHiAiUser is ${ids} and must be 1000:1000; usermod -u 1000 HwHiAiUser && groupmod -g 1000 HwHiAiUser, then reboot" \
        "用户 HwHiAiUser 是 ${ids}，必须是 1000:1000；请执行 usermod -u 1000 HwHiAiUser && groupmod -g 1000 HwHiAiUser 后重启"
    number="${npu:-$(setting GW_NPU)}"
    [ -e "/dev/davinci${number:-0}" ] || problem \
        "/dev/davinci${number:-0} is not there; install driver and firmware until npu-smi info shows the NPU" \
        "没有 /dev/davinci${number:-0}；请安装驱动与固件，直到 npu-smi info 能看到 NPU"
    [ "${kind}" != ascend-runtime ] || docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"ascend"' || problem \
        "ascend-docker-runtime is not set up in Docker; install it, or use --kind ascend" \
        "Docker 里没有 ascend-docker-runtime；请安装，或用 --kind ascend"
    [ "${kind}" != ascend ] || for path in $(vendor_paths); do
        [ -e "${path}" ] || [ "${path}" = "/dev/davinci${number:-0}" ] || problem \
            "${path} is not there; if this driver's release has none, remove its line from deploy/compose.ascend.yaml" \
            "没有 ${path}；如果这个版本的驱动本来就没有它，请从 deploy/compose.ascend.yaml 中删掉对应的一行"
    done
}
# The device nodes and files that the NPU's Compose file lends, as they are called on this host.
vendor_paths() {
    vendor_file="$(compose_folder)/deploy/compose.ascend.yaml"
    [ -f "${vendor_file}" ] || return 0
    number="${npu:-$(setting GW_NPU)}"
    libraries="$(setting GW_HOST_LIBRARIES)"
    sed -n 's/^      - \(\/dev\/.*\)$/\1/p; s/.*{type: bind, source: "\{0,1\}\([^",]*\)"\{0,1\}, target.*/\1/p' \
        "${vendor_file}" \
        | sed "s#\${GW_NPU:-0}#${number:-0}#; s#\${GW_HOST_LIBRARIES:-/usr/lib64}#${libraries:-$(host_libraries)}#"
}
compose_folder() { if is_bundle; then echo "${here}"; else echo "${prefix}/versions/$(running_version)"; fi; }
host_libraries() {
    if [ ! -e /usr/lib64/libcrypto.so.1.1 ] && [ -e /usr/lib/aarch64-linux-gnu/libcrypto.so.1.1 ]; then
        echo /usr/lib/aarch64-linux-gnu
    else
        echo /usr/lib64
    fi
}

check_port() {
    address="${publish:-$(setting GW_PUBLISH)}"
    port="${address##*:}"
    port="${port:-8080}"
    case "${port}" in *[!0-9]*) die "${address} is no address: 8080, or 127.0.0.1:8080" "${address} 不是地址：应为 8080 或 127.0.0.1:8080" ;; esac
    is_running && return 0
    taken="$(printf ':%04X ' "${port}")"
    ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" {print $2 " "}' | grep -q "${taken}" || problem \
        "port ${port} is taken by another program; free it, or give another with --publish" \
        "端口 ${port} 被其他程序占用；请释放，或用 --publish 换一个"
}
is_running() { [ -n "$(running_version)" ] && [ -n "$(compose ps --quiet webapp 2>/dev/null || true)" ]; }

check_stack() {
    is_running || return 0
    compose exec -T dispatcher python -m gw doctor --runtime "$(if [ "${kind}" = cpu ]; then echo onnx; else echo acl; fi)" >&2 || warn \
        "gw doctor in the running stack finds something (above)" "运行中的服务里 gw doctor 发现了问题（见上）"
}

check_all() {
    [ "$(id -u)" = 0 ] || problem "it needs root; run it with sudo" "需要 root 权限；请用 sudo 运行"
    find_compose
    check_engine
    if [ "${problems}" = 0 ]; then
        choose_kind
        if is_bundle; then
            check_bundle
            check_room
        fi
        check_npu
        check_port
    fi
    [ "${problems}" = 0 ] || die "problems: ${problems}; nothing was changed" "共 ${problems} 项不满足；未做任何改动"
}

# What was chosen before stays; else what this machine has.
choose_kind() {
    [ -z "${kind}" ] || return 0
    kind="$(setting COMPOSE_FILE | sed -n 's#.*deploy/compose\.\([a-z-]*\)\.yaml.*#\1#p')"
    [ -z "${kind}" ] || return 0
    if [ ! -e /dev/davinci_manager ]; then
        kind=cpu
    elif docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"ascend"'; then
        kind=ascend-runtime
    else
        kind=ascend
    fi
}

# --- images and files --------------------------------------------------------------------------------

images_are_loaded() {
    while read -r name id; do
        [ "$(docker image inspect --format '{{.Id}}' "${name}" 2>/dev/null || true)" = "${id}" ] || return 1
    done <"${here}/IMAGES"
}

load_images() {
    if images_are_loaded; then return; fi
    tell "loading the images, which may take minutes ..." "正在加载镜像，可能需要几分钟……"
    archive="$(find "${here}" -maxdepth 1 -name 'images.tar.*')"
    # Old engines cannot unpack every kind themselves.
    case "${archive}" in
        *.zst) if command -v zstd >/dev/null 2>&1; then unpack=zstd; else unpack=""; fi ;;
        *) unpack=gzip ;;
    esac
    if [ -n "${unpack}" ]; then
        "${unpack}" -dc "${archive}" | docker load --quiet >&2
    else
        docker load --quiet --input "${archive}" >&2
    fi || die "docker load failed; see above, and docker system df for room" "docker load 失败；原因见上，空间用 docker system df 查看"
    while read -r name _; do
        docker image inspect "${name}" >/dev/null 2>&1 || die "${name} is not among the images; copy the bundle again" "镜像 ${name} 缺失；请重新拷贝安装包"
    done <"${here}/IMAGES"
}

place_files() {
    version="$(fact version)"
    mkdir -p "${prefix}/versions"
    part="${prefix}/versions/.part"
    rm -rf "${part}"
    mkdir "${part}"
    cp -R "${here}/docker-compose.yaml" "${here}/deploy" "${here}/docs" "${here}/VERSION" "${here}/IMAGES" "${part}/"
    # Compose looks for it beside the first file.
    ln -s ../../.env "${part}/.env"
    rm -rf "${prefix}/versions/.old"
    if [ -d "${prefix}/versions/${version}" ]; then mv "${prefix}/versions/${version}" "${prefix}/versions/.old"; fi
    mv "${part}" "${prefix}/versions/${version}"
    rm -rf "${prefix}/versions/.old"
    cp "${here}/install.sh" "${prefix}/install.sh.part"
    chmod 0755 "${prefix}/install.sh.part"
    mv "${prefix}/install.sh.part" "${prefix}/install.sh"
}

place_settings() {
    if [ ! -f "${prefix}/.env" ]; then
        (umask 077 && sed '/^COMPOSE_FILE=/d' "${here}/deploy/env.example" >"${prefix}/.env.first" && mv "${prefix}/.env.first" "${prefix}/.env")
        [ "${kind}" = cpu ] || put_setting GW_HOST_LIBRARIES "$(host_libraries)"
        put_setting GW_REDIS_IMAGE "$(fact redis_image)"
    fi
    chmod 0600 "${prefix}/.env"
    [ -z "${publish}" ] || put_setting GW_PUBLISH "${publish}"
    [ -z "${npu}" ] || put_setting GW_NPU "${npu}"
    [ "${with_redis}" = no ] || put_setting GW_REDIS_IMAGE "$(fact redis_image)"
    [ -z "${models}" ] || put_setting GW_MODELS_PATH "${models}"
    [ -n "$(setting GW_MODELS_PATH)" ] || put_setting GW_MODELS_PATH "${prefix}/gwproc"
    [ -n "$(setting GW_BACKUPS_PATH)" ] || put_setting GW_BACKUPS_PATH "${prefix}/backups"
    backups="$(setting GW_BACKUPS_PATH)"
    if [ ! -d "${backups}" ]; then
        mkdir -p "${backups}"
        chown 1000:1000 "${backups}"
        # A backup holds secrets.
        chmod 0700 "${backups}"
    fi
    models="$(setting GW_MODELS_PATH)"
    if [ ! -d "${models}" ]; then
        mkdir -p "${models}"
        [ ! -d "${here}/gwproc" ] || cp -R "${here}/gwproc/." "${models}/"
        chown -R 1000:1000 "${models}"
    fi
}

# --- running -------------------------------------------------------------------------------------------

# One write makes both the Compose files and the images of another version be in force.
put_version() {
    files="$(setting COMPOSE_FILE)"
    if [ "${action}" = install ]; then
        others="$(printf '%s' "${files}" | tr ':' '\n' | grep -v '^versions/' | tr '\n' ':' || true)"
        files="versions/$1/docker-compose.yaml:versions/$1/deploy/compose.${kind}.yaml${others:+:${others%:}}"
    else
        files="$(printf '%s' "${files}" | sed "s#versions/[^/:]*/#versions/$1/#g")"
    fi
    cp -p "${prefix}/.env" "${prefix}/.env.switch"
    awk -v version="$1" -v files="${files}" '
        /^GW_VERSION=/ || /^COMPOSE_FILE=/ { next }
        { print }
        END { print "COMPOSE_FILE=" files; print "GW_VERSION=" version }
    ' "${prefix}/.env" >"${prefix}/.env.switch"
    mv "${prefix}/.env.switch" "${prefix}/.env"
}

has_images() {
    while read -r name _; do
        docker image inspect "${name}" >/dev/null 2>&1 || return 1
    done <"${prefix}/versions/$1/IMAGES"
}

readiness() {
    compose exec -T webapp python -S -c '
import http.client
answers = http.client.HTTPConnection("127.0.0.1", 8080, timeout=5)
answers.request("GET", "/readyz")
print(answers.getresponse().read().decode())' 2>/dev/null || true
}

# Start what the settings name, and wait: first until every container is healthy, then until work would be
# done. A stack without a model is well as far as it goes.
bring_up() {
    compose up --detach --wait --wait-timeout "${timeout_s}" --remove-orphans >&2 || return 1
    left_s=60
    [ -n "$(find "$(setting GW_MODELS_PATH)" -name model.toml 2>/dev/null | head -n 1)" ] || left_s=4
    while :; do
        found="$(readiness)"
        case "${found}" in *'"ready":true'*) return 0 ;; esac
        if [ "${left_s}" -le 0 ]; then break; fi
        left_s=$((left_s - 2))
        sleep 2
    done
    case "${found}" in
        *'"reasons":["no model is ready"]'*) [ "${was_ready}" = no ] || return 1 ;;
        *) return 1 ;;
    esac
    warn "no model is ready: put one into $(setting GW_MODELS_PATH)" "还没有就绪的模型：请放一个到 $(setting GW_MODELS_PATH)"
}

# Run the version $1. Where another runs, it comes back unless the new one becomes ready.
switch_to() {
    before="$(running_version)"
    was_ready=no
    if [ -n "${before}" ]; then
        case "$(readiness)" in *'"ready":true'*) was_ready=yes ;; esac
    fi
    if [ -n "${before}" ] && [ "${before}" != "$1" ]; then
        earlier="$(previous_version)"
        printf '%s\n' "${before}" >"${prefix}/versions/previous"
        # From the door inwards. Compose itself would take Redis away first, under those who work.
        compose stop >&2 || true
        put_version "$1"
        if bring_up; then return; fi
        tell "version $1 does not become ready: going back to ${before}" "版本 $1 未能就绪：正在切回 ${before}" >&2
        compose logs --no-color --tail 20 >&2 2>/dev/null || true
        compose stop >&2 2>/dev/null || true
        put_version "${before}"
        if [ -n "${earlier}" ]; then printf '%s\n' "${earlier}" >"${prefix}/versions/previous"; else rm -f "${prefix}/versions/previous"; fi
        was_ready=no
        bring_up || die "neither $1 nor ${before} becomes ready; see docker compose logs in ${prefix}" \
            "$1 和 ${before} 都未能就绪；请在 ${prefix} 下查看 docker compose logs"
        die "version $1 does not become ready; ${before} runs again, with all data" "版本 $1 未能就绪；${before} 已恢复运行，数据完整"
    fi
    put_version "$1"
    bring_up || {
        compose logs --no-color --tail 20 >&2 2>/dev/null || true
        die "the stack does not become ready; mend what the log above says and run install.sh again" \
            "服务未能就绪；请按上面的日志处理后重新运行 install.sh"
    }
}

make_key() {
    if [ "${new_key}" = no ]; then
        [ ! -s "${prefix}/api-key" ] || return 0
        [ "$(compose exec -T webapp python -m gw keys list --json | tr -d '[:space:]')" = "[]" ] || return 0
    fi
    (
        umask 077
        compose exec -T webapp python -m gw keys create --description "made by install.sh" --scope submit --scope read_own \
            --scope read_all --scope manage_models --scope manage_webhooks --scope admin 2>/dev/null | head -n 1 >"${prefix}/.api-key.part"
        test -s "${prefix}/.api-key.part" && mv "${prefix}/.api-key.part" "${prefix}/api-key"
    ) || die "the API key could not be made; run install.sh --new-key" "未能创建 API 密钥；请运行 install.sh --new-key"
    token="$(cat "${prefix}/api-key")"
    tell "API key (also in ${prefix}/api-key): ${token}" "API 密钥（也保存在 ${prefix}/api-key）：${token}"
}

unit=/etc/systemd/system/gw.service
place_unit() {
    [ -d /run/systemd/system ] || { warn "there is no systemd: Docker alone starts the stack after a reboot" "没有 systemd：重启后只由 Docker 拉起服务"; return 0; }
    sed "s#@PREFIX@#${prefix}#g" "${prefix}/versions/$1/deploy/gw.service" >"${unit}"
    systemctl daemon-reload
    systemctl enable --quiet gw.service
}

# --- actions ---------------------------------------------------------------------------------------------

only_one() {
    if command -v flock >/dev/null 2>&1; then
        mkdir -p "${prefix}"
        exec 9>"${prefix}/.lock"
        flock -n 9 || die "another install.sh is at work; wait for it" "另一个 install.sh 正在运行；请等它结束"
    fi
}
installed_or_die() {
    [ "$(id -u)" = 0 ] || die "it needs root; run it with sudo" "需要 root 权限；请用 sudo 运行"
    find_compose
    [ -n "$(running_version)" ] || die "gw is not installed in ${prefix}; run install.sh of a bundle, or give --prefix" \
        "${prefix} 里没有安装 gw；请运行安装包里的 install.sh，或用 --prefix 指定目录"
}

install() {
    is_bundle || die "this is not a bundle; unpack gw-VERSION-ARCH.tar and run the install.sh in it" \
        "这里不是安装包；请解开 gw-VERSION-ARCH.tar，运行其中的 install.sh"
    check_all
    only_one
    load_images
    place_files
    place_settings
    switch_to "$(fact version)"
    place_unit "$(fact version)"
    make_key
    address="$(setting GW_PUBLISH)"
    case "${address}" in *:*) ;; *) address="$(hostname -I 2>/dev/null | awk '{print $1}'):${address:-8080}" ;; esac
    tell "gw $(fact version) runs: http://${address#:}
next: try it at http://${address#:}/docs; put models into $(setting GW_MODELS_PATH); settings are in ${prefix}/.env
      (after a change: cd ${prefix} && docker compose up --detach --wait); the guide is ${prefix}/versions/$(fact version)/docs/deploy.md" \
"gw $(fact version) 已运行：http://${address#:}
接下来：打开 http://${address#:}/docs 试用；模型放进 $(setting GW_MODELS_PATH)；设置在 ${prefix}/.env
      （修改后执行：cd ${prefix} && docker compose up --detach --wait）；手册见 ${prefix}/versions/$(fact version)/docs/deploy.zh-CN.md"
}

use_version() {
    installed_or_die
    only_one
    is_installed "$1" || die "version ${1:-?} is not installed; see install.sh --list" "版本 ${1:-?} 没有安装；请看 install.sh --list"
    has_images "$1" || die "the images of $1 are gone; run install.sh of its bundle" "版本 $1 的镜像已不在；请运行它的安装包里的 install.sh"
    switch_to "$1"
    tell "gw $1 runs" "gw $1 已运行"
}

list_versions() {
    for folder in "${prefix}"/versions/*/; do
        each="$(basename "${folder}")"
        is_installed "${each}" || continue
        mark=" "
        [ "${each}" != "$(running_version)" ] || mark="*"
        printf '%s %s\n' "${mark}" "${each}"
        has_images "${each}" || warn "the images of ${each} are gone" "版本 ${each} 的镜像已不在"
    done
}

start() {
    installed_or_die
    choose_kind
    # After a reboot the driver may take a while; without its nodes no container can start.
    left_s=180
    while [ "${kind}" != cpu ] && [ "${left_s}" -gt 0 ] && [ ! -e "/dev/davinci$(setting GW_NPU | grep . || echo 0)" ]; do
        left_s=$((left_s - 2))
        sleep 2
    done
    compose up --detach --wait --wait-timeout "${timeout_s}"
}

uninstall() {
    installed_or_die
    only_one
    if [ -f "${unit}" ]; then
        systemctl disable --quiet gw.service || true
        rm -f "${unit}"
        systemctl daemon-reload || true
    fi
    models="$(setting GW_MODELS_PATH)"
    if [ "${purge}" = yes ]; then compose down --volumes --remove-orphans >&2; else compose down --remove-orphans >&2; fi
    # Redis's image may be somebody else's too.
    cat "${prefix}"/versions/*/IMAGES | awk '/^gw\// {print $1}' | sort -u | while read -r name; do
        docker image rm "${name}" >/dev/null 2>&1 || true
    done
    rm -rf "${prefix}/versions"
    if [ "${purge}" = yes ]; then
        rm -f "${prefix}/.env" "${prefix}/api-key" "${prefix}/install.sh" "${prefix}/.lock"
        tell "gw and all its data are gone; the models in ${models} are left, and backups" "gw 及其全部数据已删除；${models} 里的模型和备份仍保留"
    else
        tell "gw is gone; jobs and pictures (Docker's volumes), ${prefix}/.env, ${prefix}/api-key and ${models} are left: an installation takes them up again" \
            "gw 已卸载；任务与图片（Docker 卷）、${prefix}/.env、${prefix}/api-key 和 ${models} 都保留：重新安装即可接着用"
    fi
}

case "${action}" in
    install) install ;;
    check) check_all; check_stack; tell "this machine is fit for gw (${kind})" "本机可以运行 gw（${kind}）" ;;
    list) list_versions ;;
    use) use_version "${target}" ;;
    rollback)
        [ -n "$(previous_version)" ] || die "there is no version before; see install.sh --list" "没有上一个版本；请看 install.sh --list"
        use_version "$(previous_version)" ;;
    start) start ;;
    stop) installed_or_die; compose stop ;;
    uninstall) uninstall ;;
esac
