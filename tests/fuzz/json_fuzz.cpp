#include "fuzz/read_dataset.h"
#include "fuzz/scratch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::ScratchFile document(".json"), lines(".jsonl");
  foregate::read_dataset(document.write(data, size));
  foregate::read_dataset(lines.write(data, size));
  return 0;
}
