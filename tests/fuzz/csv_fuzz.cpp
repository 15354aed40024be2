#include "fuzz/read_dataset.h"
#include "fuzz/scratch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::ScratchFile csv(".csv"), tsv(".tsv");
  foregate::read_dataset(csv.write(data, size));
  foregate::read_dataset(tsv.write(data, size));
  return 0;
}
