#!/bin/bash
# One run of a wandb sweep as a SLURM job: sbatch --array=0-9 configs/slurm/agent.sh USER/interseg/SWEEP
# It is not queued again when it is ended: the agent would begin another run in its place.
#SBATCH --job-name=interseg-sweep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --no-requeue

srun wandb agent --count 1 "$@"
