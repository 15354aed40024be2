#include <utility>

#include "offload/prediction/foresight.h"

namespace foregate::offload {
namespace {

class Several : public Foresight {
 public:
  explicit Several(std::vector<std::unique_ptr<Foresight>> parts) : parts_(std::move(parts)) {}

  void at_step(const Step& step, std::vector<Guess>& guesses) override {
    for (const auto& part : parts_) part->at_step(step, guesses);
  }
  void at_layer(const Step& step, int layer, std::vector<Guess>& guesses) override {
    for (const auto& part : parts_) part->at_layer(step, layer, guesses);
  }
  void at_router(const Step& step, int layer, std::vector<Guess>& guesses) override {
    for (const auto& part : parts_) part->at_router(step, layer, guesses);
  }

 private:
  std::vector<std::unique_ptr<Foresight>> parts_;
};

}  // namespace

std::unique_ptr<Foresight> make_foresight_of(std::vector<std::unique_ptr<Foresight>> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<Several>(std::move(parts));
}

}  // namespace foregate::offload
