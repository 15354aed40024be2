// A tokenizer.json, which must load and encode or be refused with one of our errors.
#include "fuzz/errors.h"
#include "fuzz/scratch_file.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate {
namespace {

constexpr const char* kTexts[] = {
    "", " ", "Hello,  world! It's 2024.",
    "na\xc3\xafve e\xcc\x81 \xe4\xb8\x80\xe2\x96\x81 \xf0\x9f\x98\x80",
    "<s>abc</s> \xff\xc3 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n\n"};

void encode_all(const text::Tokenizer& tokenizer) {
  for (const char* text : kTexts) {
    for (const int32_t id : tokenizer.encode(text)) tokenizer.decoded_token(id);
  }
}

}  // namespace
}  // namespace foregate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::ScratchFile file(".json");
  foregate::answer_or_error(
      [&] { foregate::encode_all(foregate::text::Tokenizer::load(file.write(data, size))); });
  return 0;
}
