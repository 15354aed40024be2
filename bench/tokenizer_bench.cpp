// foregate_bench_tokenizer TOKENIZER_JSON TEXTS_JSONL: encodes all texts once on one thread, after
// one text to warm up. Prints CPU time: {"seconds": S, "tokens": N}. See tokenizer.py.
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "text/datasets/dataset.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate {
namespace {

void run(const char* tokenizer_json, const char* texts_jsonl) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(tokenizer_json);
  const auto source = text::open_dataset({"texts", texts_jsonl, "text"});
  std::vector<std::string> texts;
  for (text::Sample sample; source->next(sample);) texts.push_back(std::move(sample.text));
  tokenizer.encode(texts.at(0));
  size_t tokens = 0;
  const std::clock_t start = std::clock();
  for (const std::string& text : texts) tokens += tokenizer.encode(text).size();
  const double taken = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::puts(Json{{"seconds", taken}, {"tokens", tokens}}.dump().c_str());
}

}  // namespace
}  // namespace foregate

int main(int count, char** arguments) {
  try {
    if (count != 3) throw foregate::UsageError("expected TOKENIZER_JSON TEXTS_JSONL");
    foregate::run(arguments[1], arguments[2]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
