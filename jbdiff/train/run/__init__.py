"""What all runs share: loop, averages, schedule, callbacks, settings, the record of where weights come from."""
