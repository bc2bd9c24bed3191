#!/usr/bin/env bash
# ocr-rag at the keyboard: ./dev.sh COMMAND
#
#   rebuild base   the whole recipe: models, base image, application, proved without a network, and into this engine
#   rebuild app    the application alone, over the base image that is here; no model is touched
#   bundle         the kit for an isolated host, and the LLM server's, in kits/
#   record         golden outputs of the models that recipe.lock names, by the programs in golden/
#   restart        the container ocr-rag-app-dev anew, from the image that is here; waits until it answers
#   check          six points and five conditions, each looked at by a program
#   first-start    how long the first start takes with a download at run time, and from the image
#   status         images, models and the container
#   logs, shell    of the container
#
# EVERY MODEL IS IN THE BASE IMAGE; a download at run time is forbidden (POLICY.md). Nothing here pulls an image.
# Whatever stands behind `rebuild` and `bundle` goes to `bundler build`, such as --accept-licence or --wheelhouse.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

readonly BASE=ocr-rag:base APP=ocr-rag:1.0.0 CONTAINER=ocr-rag-app-dev
readonly MODELS=(/app/models/sarashina /app/reranker_models/llama-nv-reranker /app/models/yomitoku)
readonly LABELS=(sarashina.model reranker.model)
readonly SEALED=(--rm --network none --read-only --tmpfs /tmp --cap-drop ALL --pull never)
readonly START_LIMIT_S=${START_LIMIT_S:-10}
readonly ANSWER='import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=20).read().decode())'
readonly LOAD_S="import json, urllib.request; print(json.load(urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=20))['seconds'])"
failed=0

say() { printf '%s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
declare -A seen_code seen_text
point() { # point TITLE COMMAND: says whether the command went well, and the end of what it printed; each is run once
    local title=$1 command=$2
    if [ -z "${seen_code[$command]:-}" ]; then
        seen_code[$command]=0
        seen_text[$command]=$("$command" 2>&1) || seen_code[$command]=$?
    fi
    local out=${seen_text[$command]}
    if [ "${seen_code[$command]}" = 0 ]; then
        say "ok      $title${out:+: ${out##*$'\n'}}"
    else
        say "FAILED  $title"
        printf '        %s\n' "${out//$'\n'/$'\n        '}"
        failed=1
    fi
}

bundler_program() {
    if [ -n "${BUNDLER:-}" ]; then
        # shellcheck disable=SC2086  # a program and its arguments, such as "python3 /media/kit/bundler.pyz"
        $BUNDLER "$@"
    elif command -v bundler >/dev/null; then
        bundler "$@"
    else
        die "no bundler here; name one: BUNDLER='python3 /media/KIT/bundler.pyz' ./dev.sh check"
    fi
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    else
        docker-compose "$@"
    fi
}

require_recipe() {
    [ -f recipe.yaml ] || die "no recipe.yaml here: this is where a kit was installed; $1 on the connected host, and carry the kit over"
}

require_image() {
    docker image inspect "$1" >/dev/null 2>&1 || die "no image $1 here: install the kit, or ./dev.sh rebuild base"
}

rebuild_base() {
    say "building models, base and application, then proving them without a network; this takes minutes"
    bundler_program build . --output kits --load "$@"
}

rebuild_app() {
    require_image "$BASE"
    say "building the application over $BASE; models and libraries stay as they are"
    docker build --file Dockerfile --tag "$APP" .
}

bundle() {
    say "writing the kits for an isolated host"
    bundler_program build . --output kits "$@"
    bundler_program build llm --output kits "$@"
    say "carry kits/ there, then in each of them: python3 bundler.pyz install . --into /srv/ocr-rag"
}

record() {
    say "recording golden outputs of the locked models, by the model cards' own examples"
    bundler_program fetch . --json "$@" | "${PYTHON:-python3}" golden/record.py
}

restart() {
    require_image "$APP"
    say "starting $CONTAINER from $APP"
    compose up --detach --force-recreate --no-build app
    say "waiting until it answers"
    for _ in $(seq 600); do
        if docker exec "$CONTAINER" python -c "$ANSWER" 2>/dev/null; then
            return
        fi
        [ "$(docker inspect --format '{{.State.Running}} {{.RestartCount}}' "$CONTAINER")" = "true 0" ] || break
        sleep 1
    done
    docker logs --tail 30 "$CONTAINER" >&2
    die "$CONTAINER does not answer"
}

# -- what check looks at, one function each

sealed() { docker run "${SEALED[@]}" "$@"; }
files_there() {
    local model
    for model in "${MODELS[@]}"; do
        sealed "$BASE" find "$model" -name '*.safetensors' -size +0 | grep . || die "no weights at $model in $BASE"
    done
}
every_byte() { if at_builders; then checked; else bundler_program audit; fi; }
checked() { if at_builders; then bundler_program check "$APP" --recipe .; else bundler_program check; fi; }
at_builders() { [ -f recipe.lock ]; } # else where a kit was installed
loads() { sealed "$APP" python -m backend.selfcheck; }
starts_in_time() {
    local took
    took=$(docker exec "$CONTAINER" python -c "$LOAD_S") || die "$CONTAINER does not answer: ./dev.sh restart"
    say "$took s, of $START_LIMIT_S s"
    awk -v took="$took" -v limit="$START_LIMIT_S" 'BEGIN { exit !(took < limit) }'
}
quiet_logs() {
    docker logs "$CONTAINER" >/dev/null 2>&1 || die "no container $CONTAINER: ./dev.sh restart"
    ! docker logs "$CONTAINER" 2>&1 | grep -i -E 'huggingface|hf\.co|retrying|connection error'
}
labelled() {
    local label
    for label in "${LABELS[@]}"; do
        docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$BASE" | grep @ || die "$BASE has no label $label"
    done
}
# shellcheck disable=SC2016  # variables of Go's templates
readonly MOUNTED='{{range .Mounts}}{{.Destination}} {{end}}{{range $place, $_ := .HostConfig.Tmpfs}}{{$place}} {{end}}'
nothing_over_models() {
    local places place model
    places=$(docker inspect --format "$MOUNTED" "$CONTAINER") || die "no container $CONTAINER: ./dev.sh restart"
    for place in $places; do
        for model in "${MODELS[@]}"; do
            case "$model/" in "${place%/}"/*) die "$place is mounted over the model at $model: take the volume away" ;; esac
            case "$place/" in "$model"/*) die "$place is mounted into the model at $model: take the volume away" ;; esac
        done
    done
}
no_fallback() { if [ -d backend ]; then bundler_program lint .; else sealed "$APP" python -m backend.no_fallback; fi; }
rule_written() { sealed --entrypoint cat "$APP" /app/POLICY.md | grep -i 'every model is in the base image'; }

check() {
    require_image "$BASE"
    require_image "$APP"
    nothing_over_models # or all that follows would speak of other files
    say "six points:"
    point "1 model files are there" files_there
    point "2 sizes and digests are those of the lock" every_byte
    point "3 they load from their local paths" loads
    point "4 the service's models load within $START_LIMIT_S s" starts_in_time
    point "5 no message of the Hub in the logs" quiet_logs
    point "6 works without a network, and nothing tries to leave" checked
    say "five conditions:"
    point "1 the models are in the base image, by their labels" labelled
    point "2 loading code has no fallback" no_fallback
    point "3 the rule is written down" rule_written
    point "4 models load from local paths within $START_LIMIT_S s" starts_in_time
    point "5 the system works on a host without a network" loads
    return "$failed"
}

first_start() {
    require_image "$APP"
    local cache begun
    cache=$(mktemp -d)
    # shellcheck disable=SC2064  # now: when the script ends, the variable is gone
    trap "rm -rf '$cache'" EXIT
    say "before the rule: all models downloaded into an empty cache"
    begun=$(date +%s)
    XDG_CACHE_HOME=$cache bundler_program fetch . --locked "$@"
    say "downloaded in $(($(date +%s) - begun)) s; then they are loaded as below"
    say "after the rule: loaded from $APP, without a network"
    loads
}

status() {
    docker image ls --filter reference=ocr-rag
    local label
    for label in "${LABELS[@]}"; do
        say "$label: $(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$BASE" 2>/dev/null || say "no $BASE here")"
    done
    docker ps --all --filter "name=^$CONTAINER\$"
}

usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]##*/}"; }

main() {
    local command=${1:-help}
    shift || true
    case "$command" in rebuild | record | bundle | first-start) require_recipe "$command" ;; esac
    case "$command" in
        rebuild)
            local what=${1:-}
            shift || true
            case "$what" in
                base) rebuild_base "$@" ;;
                app) rebuild_app ;;
                *) die "rebuild what? ./dev.sh rebuild base, or ./dev.sh rebuild app" ;;
            esac
            ;;
        bundle | record) "$command" "$@" ;;
        first-start) first_start "$@" ;;
        restart | check | status) "$command" ;;
        logs) docker logs --follow --tail 100 "$CONTAINER" ;;
        shell) docker exec --interactive --tty "$CONTAINER" sh ;;
        help | -h | --help) usage ;;
        *)
            usage >&2
            die "no command $command"
            ;;
    esac
}

main "$@"
