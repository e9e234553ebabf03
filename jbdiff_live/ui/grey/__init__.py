"""Why a control is grey."""
