"""The pipeline, one module a stage, each `run(config, run_dir, progress)`."""
