"""Write a model repository for Triton: python tools/deployment/triton_repository.py model.onnx --out models"""

from mask2former.apis.cli import run_tool
from mask2former.deployment.triton import main

if __name__ == '__main__':
    run_tool(main)
