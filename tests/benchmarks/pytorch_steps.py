"""The contenders of `training_steps.py` that use PyTorch, in whose environment this runs."""

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from turns import serve

BATCH_SIZE = 64


def build_model() -> nn.Sequential:
    """The network of chapter 05."""
    parts, channels = [], 1
    for filters, convolutions in [(16, 1), (32, 2), (64, 3)]:
        for _ in range(convolutions):
            parts += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            parts.append(nn.BatchNorm2d(filters, momentum=0.1))  # Keras's 0.9
            channels = filters
        parts.append(nn.MaxPool2d(2))
    parts += [nn.Flatten(), nn.Linear(576, 256), nn.ReLU(), nn.BatchNorm1d(256, momentum=0.1)]
    return nn.Sequential(*parts, nn.Dropout(0.5), nn.Linear(256, 10))


def epoch_of(x: np.ndarray, y: np.ndarray, channels_last: bool) -> Callable[[], None]:
    """An epoch in shuffled batches; each loss and the number of right answers are kept."""
    form = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=form)
    labels, model = torch.from_numpy(y), build_model().to(memory_format=form)
    optimizer, loss_function = torch.optim.Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss()

    def epoch():
        model.train()
        measured = []
        for batch in torch.randperm(len(images)).split(BATCH_SIZE):
            optimizer.zero_grad()
            logits = model(images[batch])
            loss = loss_function(logits, labels[batch])
            loss.backward()
            optimizer.step()
            right = (logits.detach().argmax(1) == labels[batch]).sum()
            measured.append((loss.item(), right.item()))

    return epoch


if __name__ == "__main__":
    torch.manual_seed(0)
    with np.load(sys.argv[1]) as file:
        data = file["x"], file["y"]
    serve(
        {
            "PyTorch": epoch_of(*data, channels_last=False),
            "PyTorch, channels last": epoch_of(*data, channels_last=True),
        }
    )
