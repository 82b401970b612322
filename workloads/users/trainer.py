"""Trainers: a random forest under autologging, a run with curves, a linear regression by hand."""

import logging
import warnings
from collections.abc import Callable
from typing import ClassVar

import mlflow
import mlflow.sklearn
import numpy as np
from locust import User, constant, task
from mlflow.utils.autologging_utils import disable_autologging
from sklearn.datasets import load_diabetes  # type: ignore[import-untyped]
from sklearn.ensemble import RandomForestRegressor  # type: ignore[import-untyped]
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]
from sklearn.metrics import mean_squared_error, r2_score  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

from workloads.history.wire import TOKEN_TAG
from workloads.load.process import Process

EPOCHS = 10


class Trainer(User):
    """Trains back to back; order and parameters follow from the seed and the user's number."""

    wait_time = constant(0)
    process: ClassVar[Process]

    def on_start(self) -> None:
        """Split the data set of 442 patients (10 features) as this user does."""
        self.session = self.process.new_session()
        self.session.begin()
        # mlflow's advice on formats is for people, one line for each model; errors still show.
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        x, y = load_diabetes(return_X_y=True)
        self.x, self.x_test, self.y, self.y_test = train_test_split(
            x, y, random_state=self.session.user
        )
        mlflow.sklearn.autolog()
        self.round = self._shuffled()

    @task
    def train(self) -> None:
        """Do one training; each kind comes once in a round, in a random order."""
        step = self.round.pop(0)
        with self.session.step(step.__name__) as token:
            step(token)
        if not self.round:
            self.session.warm()
            self.round = self._shuffled()

    def _shuffled(self) -> list[Callable[[str], None]]:
        steps: list[Callable[[str], None]] = [
            self.random_forest,
            self.curves,
            self.linear_regression,
        ]
        self.session.random.shuffle(steps)
        return steps

    def random_forest(self, token: str) -> None:
        """Autologging: parameters, metrics, data set, the model and its files."""
        random = self.session.random
        forest = RandomForestRegressor(
            n_estimators=random.randint(10, 30),
            max_depth=random.randint(4, 8),
            max_features=3,
            n_jobs=1,
            random_state=random.randrange(2**31),
        )
        with self._run(token, "random-forest"):
            forest.fit(self.x, self.y)
            forest.score(self.x_test, self.y_test)

    def curves(self, token: str) -> None:
        """Parameters, tags and three metrics over epochs, each epoch a call."""
        random = self.session.random
        rate = random.choice([0.001, 0.01, 0.1])
        with self._run(token, "curves"):
            mlflow.log_params({"learning_rate": rate, "epochs": EPOCHS, "optimizer": "adam"})
            mlflow.log_param("batch_size", random.choice([16, 32, 64]))
            mlflow.set_tags({"team": f"team-{self.session.user}", "stage": "experiment"})
            loss = random.uniform(1, 2)
            for epoch in range(EPOCHS):
                loss *= random.uniform(0.8, 1)
                mlflow.log_metrics(
                    {"loss": loss, "val_loss": loss * random.uniform(1, 1.2), "lr": rate},
                    step=epoch,
                )
            mlflow.set_tag("stage", "done")

    def linear_regression(self, token: str) -> None:
        """By hand: parameters, metrics, the model with its signature, and a text artifact."""
        columns = self.session.random.sample(range(10), 5)
        with disable_autologging(), self._run(token, "linear-regression"):
            model = LinearRegression().fit(self.x[:, columns], self.y)
            predicted = model.predict(self.x_test[:, columns])
            mlflow.log_param("columns", columns)
            mlflow.log_metrics(
                {
                    "rmse": float(np.sqrt(mean_squared_error(self.y_test, predicted))),
                    "r2": float(r2_score(self.y_test, predicted)),
                }
            )
            mlflow.sklearn.log_model(
                model,
                name="model",
                signature=mlflow.models.infer_signature(self.x[:, columns], predicted),
                pip_requirements=["scikit-learn"],
            )
            mlflow.log_text("\n".join(map(str, model.coef_)), "coefficients.txt")

    def _run(self, token: str, name: str) -> mlflow.ActiveRun:
        return mlflow.start_run(
            experiment_id=self.session.experiment_id, run_name=name, tags={TOKEN_TAG: token}
        )
