#include "models/weight_names.h"

namespace foregate {
namespace {

void replace(std::string& text, const std::string& placeholder, int64_t number) {
  const size_t place = text.find(placeholder);
  if (place != std::string::npos) text.replace(place, placeholder.size(), std::to_string(number));
}

}  // namespace

std::string weight_name(const std::string& pattern, int64_t layer, int64_t expert) {
  std::string name = pattern;
  replace(name, "{L}", layer);
  replace(name, "{E}", expert);
  return name;
}

}  // namespace foregate
