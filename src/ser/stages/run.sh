# `sh src/ser/stages/run.sh STAGE [ARG]`, as dvc.yaml starts each stage: on the first of these
# Pythons that has `ser`. The environment may not be activated, and DVC passes on PATH alone.
#   1. that of PATH   2. the one that runs DVC, our parent   3. the project's own
running=$(tr '\0' '\n' 2>/dev/null <"/proc/$PPID/cmdline" | head -n 1)
for python in python "$running" .venv/bin/python; do
    case $python in *python* | *pypy*) ;; *) continue ;; esac
    if "$python" -c 'import sys, importlib.util as i; sys.exit(not i.find_spec("ser"))' 2>/dev/null
    then
        stage=$1
        shift
        exec "$python" -m "ser.stages.$stage" "$@"
    fi
done
echo 'error: No Python here has `ser`; run `make setup` and `source .venv/bin/activate`, then try again.' >&2
exit 2
