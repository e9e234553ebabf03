"""`jbdiff train own`: fine-tune pocket on a folder of somebody's music."""
