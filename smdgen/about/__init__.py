"""What `smdgen info` and `smdgen check` tell about files and the installation."""
