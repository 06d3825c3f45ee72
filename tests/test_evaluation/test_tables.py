from mask2former.evaluation.tables import comparison_table, summary_table


def words(table):
    return [line.replace('|', ' ').split() for line in table.splitlines() if line.strip(' |-')]


def test_metrics_of_a_kind_share_a_table():
    metrics = {
        **{f'{key}{part}': 10.0 + i for i, key in enumerate(('PQ', 'SQ', 'RQ')) for part in ('', '_th', '_st')},
        **{f'segm_mAP{part}': 57.246 for part in ('', '_50', '_s')},
        'bbox_mAP_s': -1.0,
        'mIoU': 92.0,
        'aAcc': 95.5,
        'cityscapes/AP': 40.0,
        'sem/PQ': 30.0,
        'PQ/cat': 77.0,
        'sem/PQ/cat': 77.0,
    }
    assert words(summary_table(metrics)) == [
        ['panoptic', 'quality', 'PQ', 'SQ', 'RQ'],
        ['all', '10.00', '11.00', '12.00'],
        ['things', '10.00', '11.00', '12.00'],
        ['stuff', '10.00', '11.00', '12.00'],
        ['average', 'precision', 'AP', 'AP50', 'APs'],
        ['masks', '57.25', '57.25', '57.25'],
        ['boxes', '-', '-', '-'],
        ['semantic', 'mIoU', 'aAcc'],
        ['92.00', '95.50'],
        ['cityscapes', 'AP'],
        ['40.00'],
        ['sem/panoptic', 'quality', 'PQ'],
        ['all', '30.00'],
    ]


def test_two_results_side_by_side():
    results = {
        'plain': {'PQ': 81.6, 'segm_mAP': 57.2, 'segm_mAP_l': -1.0, 'mIoU': 92.0, 'PQ/cat': 3.0},
        '--tta': {'PQ': 81.9, 'segm_mAP': 57.0, 'segm_mAP_l': -1.0, 'PQ/cat': 4.0},
    }
    assert words(comparison_table(results)) == [
        ['plain', '--tta', 'difference'],
        ['PQ', '81.60', '81.90', '+0.30'],
        ['segm_mAP', '57.20', '57.00', '-0.20'],
        ['segm_mAP_l', '-', '-'],
    ]


def test_class_names_are_no_markup():
    assert '[red]' in comparison_table({'a': {'[red]': 1.0}, 'b': {'[red]': 2.0}})
