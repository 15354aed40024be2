// foregate_dump_texts NAME=PATH[:COLUMN]: the texts of a dataset, a JSON line each, and at last a
// line of what was skipped and why. For tests that compare with other readers.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/datasets/dataset.h"

namespace foregate::text {
namespace {

void print(const nlohmann::json& json) {
  std::puts(json.dump().c_str());
}

void dump(const std::string& argument) {
  const auto source = open_dataset(DatasetSpec::parse(argument));
  for (Sample sample; source->next(sample);) print({{"row", sample.row}, {"text", sample.text}});
  print({{"skipped", source->skipped()}, {"description", source->description()}});
}

}  // namespace
}  // namespace foregate::text

int main(int count, char** arguments) {
  try {
    if (count != 2) throw foregate::UsageError("expected NAME=PATH[:COLUMN]");
    foregate::text::dump(arguments[1]);
    return 0;
  } catch (const foregate::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return static_cast<int>(error.exit_code());
  }
}
