"""The beginning of a run: find out if there is a screen, and play without one."""
