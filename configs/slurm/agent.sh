#!/bin/bash
# A run of a wandb sweep each, as SLURM jobs of one process: DATA=PATH sbatch --array=0-9 configs/slurm/agent.sh USER/interseg/SWEEP
# It is not queued again when it is ended: the agent would begin another run in its place.
#SBATCH --job-name=interseg-sweep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --no-requeue

[ "$SLURM_NTASKS" -eq 1 ] || { echo "a sweep's run is one process, this job has $SLURM_NTASKS; give it more GPUs by other arrays" >&2; exit 2; }
srun wandb agent --count 1 "$@"
