"""The conventional service that Rollcall is measured against: FastAPI, SQLAlchemy and psycopg2.

Written as a team would that keeps its users in one table: one INSERT and one commit for each
`POST /users`. DATABASE_URL says where the table is, which is made at the start.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, EmailStr, StringConstraints
from sqlalchemy import Index, create_engine, func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

# A connection for each of the 40 threads that run endpoints: none waits for another's.
engine = create_engine(os.environ["DATABASE_URL"], pool_size=40, max_overflow=0)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    email: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


Index("users_email", func.lower(User.email), unique=True)


class NewUser(BaseModel):
    email: EmailStr
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class CreatedUser(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str
    name: str
    created_at: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    Base.metadata.create_all(engine)
    yield
    engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/users", status_code=201, response_model=CreatedUser)
def create_user(new: NewUser) -> User:
    with Session(engine, expire_on_commit=False) as session:
        user = User(email=new.email, name=new.name)
        session.add(user)
        try:
            session.commit()
        except IntegrityError:
            raise HTTPException(409, "the e-mail is taken") from None
        return user
