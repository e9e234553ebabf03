"""The view of one take: wave, playhead, marks, and what can be done with it. It imports pyqtgraph, so it is imported
only when it is opened.
"""
