"""Write a page that runs an exported model in the browser: python tools/deployment/web_page.py model.onnx --out DIR"""

from mask2former.apis.cli import run_tool
from mask2former.deployment.web_page import main

if __name__ == '__main__':
    run_tool(main)
