#!/bin/bash
# Train as a SLURM job:   sbatch [--nodes N --ntasks-per-node K --gpus-per-node K ...] configs/slurm/train.sh --config itis.yaml [key=value ...]
# As an array, %a is the task's number:   sbatch --array=0-4 configs/slurm/train.sh --config itis.yaml seed=%a
# With JOBS=FILE (sweep.py writes one) each task of an array takes its line of the file. COMMAND=evaluate.py evaluates, and
# COMMAND='-m benchmarks.dynamic3d' makes tables. INTERPRETER='apptainer exec --nv interseg.sif python' runs in a container.
# Two minutes before the time limit SLURM tells this script, the run writes a checkpoint and ends, and the job is queued again; it goes on
# by itself. So it does before a pre-emption where the cluster has a GraceTime and SlurmctldParameters=preempt_send_user_signal (newer SLURMs:
# PreemptParameters=send_user_signal). A run that has not ended after a minute (a rank waits for another, a server for nobody) is ended,
# and goes on from its last checkpoint. After MOST_RESTARTS (100) restarts it is not queued again.
#SBATCH --job-name=interseg
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120

if [ -n "${JOBS:-}" ]; then
    line=$(sed -n "$((${SLURM_ARRAY_TASK_ID:?JOBS needs --array} + 1))p" "$JOBS")
    [ -n "$line" ] || { echo "$JOBS has no line $((SLURM_ARRAY_TASK_ID + 1))" >&2; exit 2; }
    declare -a words="($line)"  # quoted as a shell reads it
    set -- "${words[@]}" "$@"
fi
told() {
    trap '' USR1
    kill -USR1 $step  # srun passes it on to every process
    { sleep 60; kill -KILL $step; } &  # what is left of the step ends with the job
    timer=$!
}
trap early=1 USR1
export WANDB_FINISH_TIMEOUT=${WANDB_FINISH_TIMEOUT:-30}
srun --kill-on-bad-exit=1 ${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK} \
    ${INTERPRETER:-python} ${COMMAND:-train.py} "${@//%a/${SLURM_ARRAY_TASK_ID:-}}" &
step=$!
trap told USR1
[ -z "${early:-}" ] || told
wait $step
code=$?
while kill -0 $step 2>/dev/null; do  # the trap ended the wait
    wait $step
    code=$?
done
if [ -n "${timer:-}" ]; then
    kill $timer 2>/dev/null
    if [ "${SLURM_RESTART_COUNT:-0}" -ge "${MOST_RESTARTS:-100}" ]; then
        echo "queued again $SLURM_RESTART_COUNT times; MOST_RESTARTS=N allows more" >&2
        exit 1
    fi
    scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}" || exit 1
fi
exit $code
