#!/usr/bin/env bash
# A Slurm of one node on this machine, for the test of job arrays. Needs root, and Debian's slurmctld, slurmd, slurm-client
# and munge; says what is missing on stdout and exits 3 where they are not there.
#   slurm.sh start FOLDER    FOLDER/slurm.conf is then what SLURM_CONF must name
#   slurm.sh stop FOLDER     ends what was started, and nothing else
set -u
folder=$2
# Two tests or checkouts on one machine must not meet.
port=$((20000 + $$ % 10000 * 2))

missing() { echo "$1"; exit 3; }

start() {
    [ "$(id -u)" = 0 ] || missing "Slurm's daemons need root"
    for program in munged slurmctld slurmd sbatch scontrol sinfo; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing "no $program on this machine"
    done
    id munge >/dev/null 2>&1 || missing "no user munge on this machine"
    mkdir -p "$folder/state" "$folder/spool" "$folder/munge" || exit 1
    # munged is particular about who may write to the folders above its socket, which a temporary folder need not satisfy.
    head -c 1024 /dev/urandom >"$folder/munge/key"
    chmod 600 "$folder/munge/key"
    chmod 755 "$folder" "$folder/munge"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" || exit 1
    name=$(hostname -s)
    cat >"$folder/slurm.conf" <<CONF
ClusterName=lowshot-test
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
ReturnToService=2
KillWait=1
NodeName=$name NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$name Default=YES MaxTime=INFINITE State=UP
CONF
    slurmctld -f "$folder/slurm.conf" && slurmd -f "$folder/slurm.conf" || exit 1
    for _ in $(seq 100); do
        SLURM_CONF=$folder/slurm.conf sinfo -h -o %T 2>/dev/null | grep -q idle && exit 0
        sleep 0.2
    done
    tail -n 5 "$folder"/*.log >&2
    exit 1
}

stop() {
    for pid in "$folder/slurmd.pid" "$folder/slurmctld.pid" "$folder/munge/pid"; do
        [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null
    done
    return 0
}

export PATH=$PATH:/usr/sbin
case $1 in
start) start ;;
stop) stop ;;
esac
