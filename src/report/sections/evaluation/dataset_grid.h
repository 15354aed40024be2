#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "report/charts/heat_map.h"
#include "report/page/figure.h"

namespace foregate::report {

/// A row's name and its recall by dataset.
using DatasetRecalls = std::pair<std::string, std::map<std::string, double>>;

/// Recall by row and dataset: cells, row and column labels of `map`, and the columns and rows of
/// `table` behind its first one. A dataset that a row lacks is a hole.
void fill_by_dataset(const std::vector<DatasetRecalls>& rows, HeatMap& map, Table& table);

}  // namespace foregate::report
