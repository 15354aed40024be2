#pragma once

#include <vector>

#include "stats/evaluation/evaluation.h"

namespace foregate::stats {

/// Sets on_front of every row whose recall@k no other of its lead reaches with fewer flops or
/// exceeds with as many: the Pareto front of each lead.
void mark_fronts(std::vector<EvaluationRow>& rows, int top_k);

}  // namespace foregate::stats
