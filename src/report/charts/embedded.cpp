#include "report/charts/embedded.h"

#include "report/charts/number_format.h"

namespace foregate::report {

std::string joined(const std::vector<std::string>& labels) {
  std::string text;
  for (size_t i = 0; i < labels.size(); ++i) text += (i == 0 ? "" : "&#10;") + escape(labels[i]);
  return text;
}

}  // namespace foregate::report
