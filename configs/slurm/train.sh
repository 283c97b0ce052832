#!/bin/bash
# Train as a SLURM job: sbatch [--nodes N --ntasks-per-node GPUS --gpus-per-task 1 ...] configs/slurm/train.sh --config itis.yaml [key=value ...]
# As an array, %a is the task's number: sbatch --array=0-4 configs/slurm/train.sh --config itis.yaml seed=%a
# With JOBS=FILE (sweep.py writes one) each task of an array takes its line of the file. COMMAND=evaluate.py evaluates.
# Two minutes before its time limit or a pre-emption the run writes a checkpoint and queues itself again; then it goes on by itself.
#SBATCH --job-name=interseg
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120

if [ -n "${JOBS:-}" ]; then
    eval "set -- $(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$JOBS") $(printf '%q ' "$@")"
fi
srun --kill-on-bad-exit=1 python "${COMMAND:-train.py}" "${@//%a/${SLURM_ARRAY_TASK_ID:-}}"
code=$?
if [ $code -eq 138 ]; then  # SIGUSR1 ended a process that did not listen yet
    scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
fi
exit $code
