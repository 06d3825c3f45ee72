"""Write a trained model as a file for other runtimes: python tools/deployment/export.py RUN [CHECKPOINT] [--verify]"""

from mask2former.apis.cli import run_tool
from mask2former.deployment.command import main

if __name__ == '__main__':
    run_tool(main)
