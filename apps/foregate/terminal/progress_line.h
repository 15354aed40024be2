#pragma once

#include <string>

namespace foregate {

/// What a line on a job's progress says, in the order in which it is shown. Empty parts are left
/// out.
struct ProgressLine {
  std::string label;    ///< "collect"
  double share = -1;    ///< of the bar, 0 to 1; below 0: there is none
  std::string numbers;  ///< "19/60 traces"
  std::string rate;     ///< "312 traces/min"
  std::string remark;   ///< "12,345 tokens/s"
  std::string time;     ///< "ETA 0:08", "took 0:12"

  /// All of it.
  std::string text() const;
  /// What of it fits into so many columns. The bar becomes shorter and goes first, then remark,
  /// rate and time, then the label's end; the numbers stay, or become a percentage.
  std::string fitted(int columns) const;
};

}  // namespace foregate
