// A model's config.json, which must give a geometry that can be summed up, or be refused.
#include "fuzz/errors.h"
#include "fuzz/scratch_file.h"
#include "models/registry.h"
#include "models/summary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::ScratchFile file(".json");
  foregate::answer_or_error([&] {
    foregate::models::summarize(foregate::models::read_model_config(file.write(data, size)));
  });
  return 0;
}
