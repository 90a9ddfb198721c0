"""Nodes out of the scene again, with all that only they had."""

from __future__ import annotations

from .cine_nodes import sequences_of


def remove_cine(browser) -> None:
    """Remove a browser, the sequences that it plays and the volumes that it shows them by."""
    sequences = sequences_of(browser)
    proxies = [browser.GetProxyNode(sequence) for sequence in sequences]
    # the browser first, or it would follow each change
    remove_nodes([browser, *sequences, *proxies])


def remove_nodes(nodes) -> None:
    """Remove nodes with their display and storage nodes, which the scene would keep; None is passed over."""
    for node in nodes:
        scene = None if node is None else node.GetScene()
        if scene is None or not scene.IsNodePresent(node):
            continue
        theirs = []
        if node.IsA("vtkMRMLDisplayableNode"):
            theirs += [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())]
        if node.IsA("vtkMRMLStorableNode"):
            theirs += [node.GetNthStorageNode(i) for i in range(node.GetNumberOfStorageNodes())]
        scene.RemoveNode(node)
        for other in theirs:
            if other is not None and scene.IsNodePresent(other):
                scene.RemoveNode(other)
