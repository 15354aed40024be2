#include "text/datasets/value_rows.h"

#include <algorithm>

namespace foregate::text {

void ValueRows::start() {
  next_ = 0;
  num_rows_ = columns_.size() == 1 ? std::max<size_t>(columns_[0].size(), 1) : 1;
}

bool ValueRows::next(Row& row) {
  if (next_ == num_rows_) return false;
  row.text.clear();
  row.problem.clear();
  if (columns_.size() > 1) {
    join(row);
  } else if (columns_[0].empty()) {
    row.problem = "empty list";
  } else {
    const Value& value = columns_[0][next_];
    row.problem = value.problem;
    row.text = value.text.substr(0, kMaxRowBytes + 1);
  }
  if (row.text.size() > kMaxRowBytes) row.problem = kRowTooLong;
  ++next_;
  return true;
}

void ValueRows::join(Row& row) const {
  for (const auto& values : columns_) {
    for (const Value& value : values) {
      if (!value.problem.empty()) row.problem = value.problem;
      append_column(row.text, value.text.substr(0, kMaxRowBytes + 1));
      if (row.text.size() > kMaxRowBytes) return;
    }
  }
}

}  // namespace foregate::text
