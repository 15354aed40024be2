#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "engine/experts/copy_lane.h"

namespace foregate::testing {

/// What goes wrong with copies, on purpose.
struct Faults {
  uint64_t seed = 1;
  int64_t most_microseconds = 0;  ///< each copy takes up to so much longer
  bool reorders = false;          ///< copies that are under way are done in any order
  int64_t fails = -1;             ///< the copy of this number fails; -1: none
};

/// A lane that copies as late as it may: when somebody waits for it, and until then the place holds
/// what spoils any result.
class FaultyLane : public engine::CopyLane {
 public:
  FaultyLane(std::unique_ptr<engine::CopyLane> lane, const Faults& faults)
      : lane_(std::move(lane)), faults_(faults), random_(faults.seed) {}

  Ticket begin(const engine::ExpertPiece& piece, const tensor::DeviceEvent& after) override {
    if (piece.to.is_cpu()) {
      torch::Tensor to = piece.to;
      const c10::InferenceMode inference;
      to.fill_(0xFF);
    }
    waiting_.push_back({++last_, piece, after});
    return last_;
  }
  void finish(Ticket ticket) override {
    while (has(ticket)) {
      lane_->finish(copy_one(ticket));
    }
  }
  void finish_on_stream(Ticket ticket) override {
    while (has(ticket)) {
      lane_->finish_on_stream(copy_one(ticket));
    }
  }

 private:
  struct Waiting {
    Ticket ticket;
    engine::ExpertPiece piece;
    tensor::DeviceEvent after;
  };

  bool has(Ticket ticket) const { return place_of(ticket) < waiting_.size(); }
  size_t place_of(Ticket ticket) const {
    size_t place = 0;
    while (place < waiting_.size() && waiting_[place].ticket != ticket) ++place;
    return place;
  }
  Ticket copy_one(Ticket ticket) {
    const size_t place =
        faults_.reorders ? random_.below(static_cast<int64_t>(waiting_.size())) : place_of(ticket);
    const Waiting next = waiting_[place];
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(place));
    if (faults_.most_microseconds > 0) {
      std::this_thread::sleep_for(
          std::chrono::microseconds(random_.below(faults_.most_microseconds + 1)));
    }
    if (copies_++ == faults_.fails) throw std::runtime_error("the cable was pulled");
    return lane_->begin(next.piece, next.after);
  }

  std::unique_ptr<engine::CopyLane> lane_;
  Faults faults_;
  Random random_;
  Ticket last_ = 0;
  int64_t copies_ = 0;
  std::vector<Waiting> waiting_;
};

inline engine::MakeCopyLane faulty_lanes(const Faults& faults) {
  return [faults](torch::Device device) {
    return std::make_unique<FaultyLane>(engine::make_copy_lane(device), faults);
  };
}

}  // namespace foregate::testing
