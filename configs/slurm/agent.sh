#!/bin/bash
# A run of a wandb sweep each, as SLURM jobs of one process: DATA=PATH sbatch --array=0-9 --gpus-per-node 1 configs/slurm/agent.sh USER/interseg/SWEEP
# It is not queued again when it is ended: the agent would begin another run in its place. The run goes on, as one on the dashboard too, by
# train.py with the arguments that its log shows and run=FOLDER checkpoint=last.
#SBATCH --job-name=interseg-sweep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --no-requeue

[ "$SLURM_NTASKS" -eq 1 ] || { echo "a sweep's run is one process, this job has $SLURM_NTASKS; give it more GPUs by other arrays" >&2; exit 2; }
srun ${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK} wandb agent --count 1 "$@"
