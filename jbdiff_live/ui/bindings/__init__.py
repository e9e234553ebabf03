"""The table of all bindings: what it shows, what can be edited, and the dialog. Qt's thread."""
