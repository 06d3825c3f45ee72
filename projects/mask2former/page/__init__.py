"""The web page: try a trained model in a browser. It is made with Gradio, which :mod:`.app` alone imports."""
