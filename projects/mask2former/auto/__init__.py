"""From a folder of annotated images to a trained model and a report, without a config: it is written on the way.

The way: ``data`` recognises the annotations and makes a data set of them; ``survey`` measures it; ``choices`` derives
every setting and says why; ``probe`` measures what a step costs; ``config_file`` writes the config; ``train`` runs it
all; ``report`` shows what came of it.
"""
